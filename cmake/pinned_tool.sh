# Sourced by check_format.sh and check_tidy.sh, from the top of the source tree. Other versions judge otherwise, so only the
# one of cmake/tools.txt does.
# shellcheck shell=bash

# pinned_tool <name> <what it is for>: sets $tool to the program. Where it is not, says so and ends with 77.
pinned_tool() {
  local wanted
  wanted=$(sed -n "s/^$1==//p" cmake/tools.txt)
  for tool in "build/venv/bin/$1" "$1"; do
    if "$tool" --version 2>/dev/null | grep -qF "version $wanted"; then return; fi
  done
  echo "skipped: $2; get $1 with: pip install $1==$wanted"
  exit 77
}
