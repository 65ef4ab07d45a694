# The Debian packages: made by CPack, with their dependencies, and without what lintian calls an error. Called with the
# program, cpack and the build folder.
. "$(dirname "$0")/lib.sh"
cpack=$2 build=$3
command -v dpkg-deb >/dev/null && command -v dpkg-shlibdeps >/dev/null || {
  echo "no dpkg here"
  exit 77
}
(cd "$build" && "$cpack" -G DEB -B "$work/packages") >"$work/out" 2>"$work/err" || fail "cpack"
program=$(echo "$work"/packages/retort_*.deb) development=$(echo "$work"/packages/libretort-dev_*.deb)
[ -f "$program" ] && [ -f "$development" ] || fail "a package is missing"
depends=$(dpkg-deb -f "$program" Depends)
for library in libc6 libdnnl2 libcurl4 libarchive13 libsqlite3-0 libgomp1; do
  [[ $depends == *$library* ]] || fail "the program's package does not depend on $library: $depends"
done
dpkg-deb -c "$program" >"$work/out"
for file in ./usr/bin/retort ./usr/share/doc/retort/sbom.cdx.json ./usr/share/man/man1/retort.1.gz ./usr/share/bash-completion/completions/retort \
  ./usr/share/zsh/vendor-completions/_retort ./usr/share/fish/vendor_completions.d/retort.fish; do
  grep -q " $file\$" "$work/out" || fail "$file is not in the package"
done
grep -q '/usr/include' "$work/out" && fail "the program's package has headers"
# All that the loader is asked for has a line in the list of parts.
dpkg-deb -x "$program" "$work/root"
parts=$work/root/usr/share/doc/retort/sbom.cdx.json
for library in $(readelf -d "$work/root/usr/bin/retort" | sed -n 's/.*Shared library: \[\(.*\)\]/\1/p'); do
  grep -qF "linked as $library" "$parts" || fail "$library is linked, and the list of parts has it not"
done
[ "$(grep -c '"purl": "pkg:deb/' "$parts")" -ge 20 ] || fail "parts without a package: $(cat "$parts")"
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error "$program" "$development" >"$work/out" 2>"$work/err" || fail "lintian"
fi
finish
