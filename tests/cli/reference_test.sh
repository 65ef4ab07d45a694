# docs/reference.md, manual pages and completions are made from the program's own options.
. "$(dirname "$0")/lib.sh"
source_folder=$(cd "$(dirname "$0")/../.." && pwd)

for kind in markdown man bash zsh fish; do good reference "$kind" "$work/made"; done
cmp "$work/made/reference.md" "$source_folder/docs/reference.md" >"$work/out" 2>&1 ||
  fail "docs/reference.md is not the program's: run ./dev reference"
bad 2 '"pdf" is no kind of document: write markdown, man, bash, zsh or fish' reference pdf "$work/made"
good --help
[[ $out != *reference* ]] || fail "the hidden command shows in the help"

# A page a command, which groff takes without a warning.
[ -s "$work/made/retort.1" ] && [ -s "$work/made/retort-data-check.1" ] || fail "manual pages are missing"
grep -q 'fB\\-\\-html' "$work/made/retort-data-check.1" || fail "an option is missing in its page"
if command -v man >/dev/null && command -v groff >/dev/null; then
  for page in "$work"/made/*.1; do
    LC_ALL=C.UTF-8 MANROFFSEQ= MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null 2>"$work/err"
    [ ! -s "$work/err" ] || fail "groff warns of $page"
  done
fi

# completes EXPECTED WORD…: bash offers exactly these for the last word.
completes() {
  local expected=$1 got
  shift
  got=$(
    . "$work/made/retort"
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _retort
    printf '%s\n' "${COMPREPLY[@]}" | sort | xargs
  )
  [ "$got" = "$expected" ] || fail "bash completes «$*» to «$got», not to «$expected»"
}
completes 'search serve' retort se
completes 'check export fetch' retort data ''
completes '--html' retort data check --h --ht
completes '--board --boards' retort search out --boar
completes 'nano33ble' retort search out --board nano33
completes 'c tflm' retort search out --runtime ''
completes 'constant cosine one-cycle' retort search out --data fashion-mnist --schedule ''
completes 'float int8' retort export model --ends ''
completes 'tflite tflm' retort export model --to tfl
completes 'images:' retort search out --data im
completes 'train' retort search out --teacher tr
completes 'cifar10' retort data fetch ci
completes '' retort search out --config ''
completes '' retort search ''
completes '--json' retort data export --js

if command -v zsh >/dev/null; then
  zsh -n "$work/made/_retort" 2>"$work/err" || fail "zsh does not take its completion"
fi
if command -v fish >/dev/null; then
  fish -n "$work/made/retort.fish" 2>"$work/err" || fail "fish does not take its completion"
  fish_says() {
    local got
    got=$(fish --no-config -c "source '$work/made/retort.fish'; complete -C '$2'" 2>"$work/err" | cut -f 1 | sort | xargs)
    [ "$got" = "$1" ] || fail "fish completes «$2» to «$got», not to «$1»"
  }
  fish_says 'check export fetch' 'retort data '
  fish_says '--board --boards' 'retort search out --boar'
  fish_says 'c tflm' 'retort search out --runtime '
  fish_says '--npy' 'retort data export --np'
fi

finish
