# shellcheck shell=sh disable=SC1090,SC1091,SC2164 # Nothing stops the launch: not a missing directory, not a failing profile script.
cd "$1"
# $0 is the launcher, $1 the app directory, $2 the start command; profile scripts see them too.
# The launcher adds the last line: exec bash -c "$1", or another entrypoint, or sh where there is no bash.
echo 'Invoking pre-start scripts.'
# A pattern without a match stays as it is, so it names nothing.
for _profile in ../profile.d/*; do
  if [ -e "$_profile" ] || [ -L "$_profile" ]; then . "$_profile"; fi
done
for _profile in .profile.d/*; do
  if [ -e "$_profile" ] || [ -L "$_profile" ]; then . "$_profile"; fi
done
if [ -f .profile ]; then . ./.profile; fi
# Under `set -a` of a profile script the loops' name would reach the app.
unset _profile
shift
echo 'Invoking start command.'
