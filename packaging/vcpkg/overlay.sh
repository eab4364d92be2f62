#!/usr/bin/env bash
# vcpkg/overlay.sh [folder]: writes an overlay port of this checkout, as it is now, to <folder>/ccomp (otherwise
# build/vcpkg/ccomp) and prints the folder, for: vcpkg install ccomp --overlay-ports="$(<ccomp>/packaging/vcpkg/overlay.sh)"
#
# vcpkg recognises a package that it has made before by the contents of the port's files, and looks at nothing else. So the
# port holds the sources themselves, as one archive: changed sources are a changed port, unchanged ones the same bytes.
set -euo pipefail
folder=$(realpath -m "${1:-$(dirname "$0")/../../build/vcpkg}")
cd "$(dirname "$0")/../.."
version=$(sed -nE 's/^#define CCOMP_VERSION_[A-Z]+ ([0-9]+)$/\1/p' include/ccomp/version.hpp | paste -sd .)

mkdir -p "$folder"
port=$(mktemp -d "$folder/.ccomp.XXXXXX")
trap 'rm -rf "$port"' EXIT
tar --create --file "$port/ccomp.tar" --sort=name --format=gnu --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w \
  --transform='s,^,ccomp/,' CMakeLists.txt LICENSE cmake include
# shellcheck disable=SC2016 # the variables are CMake's
sed -e '/^# Template:/d' \
  -e 's|@source@|vcpkg_extract_source_archive(SOURCE_PATH ARCHIVE "${CMAKE_CURRENT_LIST_DIR}/ccomp.tar")|' \
  packaging/vcpkg/port/portfile.cmake.in >"$port/portfile.cmake"
sed -e "s|@version@|$version|" -e '/@homepage@/d' packaging/vcpkg/port/vcpkg.json.in >"$port/vcpkg.json"
cp packaging/vcpkg/port/usage "$port/usage"
chmod 755 "$port"
rm -rf "$folder/ccomp"
mv "$port" "$folder/ccomp"
echo "$folder"
