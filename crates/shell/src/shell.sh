# shellcheck shell=sh disable=SC1090,SC1091,SC2164 # Nothing stops the shell: not a missing directory, not a failing profile script.
cd "$1"
# $0 is this program, $1 the app directory, $2 the command; profile scripts see them too.
# The program adds the last line: exec bash -c "$1", or sh where there is no bash.
# A pattern without a match stays as it is, so it names nothing.
for _profile in ../profile.d/*; do
  if [ -e "$_profile" ] || [ -L "$_profile" ]; then . "$_profile"; fi
done
for _profile in .profile.d/*; do
  if [ -e "$_profile" ] || [ -L "$_profile" ]; then . "$_profile"; fi
done
# Under `set -a` of a profile script the loops' name would reach the command.
unset _profile
shift
