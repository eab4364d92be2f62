#!/usr/bin/env bash
# installed.sh <source tree> <cmake> <build tree> <prefix>: installs, and compares what is there with the source tree.
set -euo pipefail
rm -rf "$4"
"$2" --install "$3" --prefix "$4" >/dev/null
diff -r "$1/include" "$4/include"
diff "$1/LICENSE" "$4/share/doc/ccomp/LICENSE"
