#!/usr/bin/env bash
# What the registries of vcpkg and Conan need for a release; see --help.
set -euo pipefail

help() {
  cat <<'EOF'
packaging/release.sh TAG OWNER/NAME [--archive ADDRESS] [--out FOLDER]

Downloads the archive of TAG from the GitHub repository OWNER/NAME, checks that it is this clone's TAG, and writes to
build/release (or FOLDER), with address and checksums filled in:
  vcpkg/ports/ccomp          the port for vcpkg's registry
  conan/recipes/ccomp        the recipe for Conan's registry

  --archive ADDRESS  download from there instead, such as file:///tmp/v0.2.0.tar.gz
  --out FOLDER       write to FOLDER
  --help             this text

Exit code: 0 written, 1 the archive is not the tag, 2 wrong option or no such tag.
EOF
}
fail() { echo "release.sh: $2" >&2; exit "$1"; }

tag='' repository='' address='' out=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) help; exit 0 ;;
    --archive) address=${2:?"--archive needs an address"} && shift ;;
    --out) out=$(realpath -m "${2:?"--out needs a folder"}") && shift ;;
    -*) fail 2 "unknown option '$1'; --help lists the options." ;;
    *) if [ -z "$tag" ]; then tag=$1; else repository=$1; fi ;;
  esac
  shift
done
[[ $tag && $repository =~ ^[^/]+/[^/]+$ ]] || fail 2 "needs a tag and OWNER/NAME; --help explains them."
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify --quiet "refs/tags/$tag^{commit}") || fail 2 "this clone has no tag $tag."
homepage=https://github.com/$repository
address=${address:-$homepage/archive/$tag.tar.gz} # where vcpkg_from_github looks, too
out=${out:-$PWD/build/release}
version=$(git show "$commit:include/ccomp/version.hpp" | sed -nE 's/^#define CCOMP_VERSION_[A-Z]+ ([0-9]+)$/\1/p' | paste -sd .)
[ "$tag" = "v$version" ] || fail 1 "version.hpp of the tag $tag says $version; a release's tag is v and the version."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
curl --fail --silent --show-error --location --output "$work/archive" "$address" || fail 1 "cannot download $address."
# git reads only the beginning, and gzip then fails to write the rest.
packed=$({ gzip -dc "$work/archive" 2>/dev/null || true; } | git get-tar-commit-id) || fail 1 "$address is no archive that git made."
[ "$packed" = "$commit" ] || fail 1 "$address holds commit $packed, and the tag $tag is $commit."
sha256=$(sha256sum <"$work/archive" | cut -d ' ' -f 1)
sha512=$(sha512sum <"$work/archive" | cut -d ' ' -f 1)

# fill <file> [more sed]: the file of the tag with its placeholders filled in.
fill() {
  git show "$commit:$1" | sed -e '/^# Template:/d' -e "s|@version@|$version|" -e "s|@homepage@|$homepage|" -e "s|@address@|$address|" \
    -e "s|@sha256@|$sha256|" "${@:2}"
}

rm -rf "$out/vcpkg" "$out/conan"
port=$out/vcpkg/ports/ccomp
mkdir -p "$port"
cat >"$work/source" <<EOF
vcpkg_from_github(
  OUT_SOURCE_PATH SOURCE_PATH
  REPO $repository
  REF "v\${VERSION}"
  SHA512 $sha512
  HEAD_REF main)
EOF
fill packaging/vcpkg/port/portfile.cmake.in -e "/^@source@$/{r $work/source" -e 'd}' >"$port/portfile.cmake"
fill packaging/vcpkg/port/vcpkg.json.in >"$port/vcpkg.json"
fill packaging/vcpkg/port/usage >"$port/usage"

recipe=$out/conan/recipes/ccomp
mkdir -p "$recipe/all/test_package"
printf 'versions:\n  "%s":\n    folder: all\n' "$version" >"$recipe/config.yml"
fill packaging/conan/conandata.yml.in >"$recipe/all/conandata.yml"
# A release is downloaded: the recipe carries no sources, and its test lies where the registry looks for it.
fill conanfile.py -e "s|^    license = .*|&\n    url = homepage = \"$homepage\"|" -e '/^    exports_sources = /d' \
  -e '/^    test_package_folder = /d' >"$recipe/all/conanfile.py"
for file in CMakeLists.txt conanfile.py main.cpp; do
  fill "packaging/conan/test_package/$file" >"$recipe/all/test_package/$file"
done
echo "written: $port and $recipe"
