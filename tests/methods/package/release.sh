#!/usr/bin/env bash
# release.sh <source tree> <work folder>: a repository of this tree with a tag, an archive of it, and packaging/release.sh on
# both. Other tests use what it leaves in <work folder>: repository, archive/<tag>.tar.gz, and made.
set -euo pipefail
rm -rf "$2"
mkdir -p "$2/repository" "$2/archive"
cd "$1"
cp -r CMakeLists.txt LICENSE conanfile.py cmake include packaging "$2/repository"
cd "$2/repository"
git init --quiet --initial-branch=main
git config user.name test
git config user.email test
tag=v$(sed -nE 's/^#define CCOMP_VERSION_[A-Z]+ ([0-9]+)$/\1/p' include/ccomp/version.hpp | paste -sd .)
git add . && git commit --quiet --message one && git tag "$tag"
archive=$2/archive/$tag.tar.gz
git archive --prefix="ccomp-${tag#v}/" --output="$archive" "$tag"

none=$2/none
# refused <sentence> <argument>...: packaging/release.sh ends with that sentence.
refused() {
  local said
  if said=$(packaging/release.sh "${@:2}" --out "$none" 2>&1) || [[ $said != *"$1"* ]]; then
    echo "packaging/release.sh ${*:2}: $said" && exit 1
  fi
}
refused "has no tag v9" v9 owner/name
refused "needs a tag and OWNER/NAME" "$tag"
refused "cannot download file:///none" "$tag" owner/name --archive file:///none
git tag v9.9.9
refused "version.hpp of the tag v9.9.9 says ${tag#v}" v9.9.9 owner/name
git commit --quiet --allow-empty --message two
git archive --output="$2/other.tar.gz" HEAD
refused "and the tag $tag is" "$tag" owner/name --archive "file://$2/other.tar.gz"

packaging/release.sh "$tag" owner/name --archive "file://$archive" --out "$2/made"
if grep -rnE '@[a-z0-9]+@|Template:' "$2/made"; then
  echo "a placeholder was not filled in" && exit 1
fi
