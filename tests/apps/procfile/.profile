export GREETING="a greeting from .profile"
