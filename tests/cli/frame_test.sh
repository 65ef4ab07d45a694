# The program's frame: help, version, wrong use, standard output, interruption.
. "$(dirname "$0")/lib.sh"

good --version
[[ $out =~ ^retort\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "the version is not «retort X.Y.Z»"

good --help
for command in search teacher distill prune quantize export eval inspect report data bench; do
  says "  $command"
done
for command in search teacher distill prune quantize export eval inspect report "bench train" "data check" "data export"; do
  # shellcheck disable=SC2086
  good $command --help
  says "Usage: retort $command "
  says "Examples:"
  says "retort $command"
  says "--json"
done

bad 2 "a subcommand is missing. See retort --help"
bad 2 'unknown subcommand "serach": did you mean search? See retort --help' serach
bad 2 'unknown subcommand "xyzzy" See retort --help' xyzzy
bad 2 "a subcommand is missing. See retort data --help" data
bad 2 'unknown subcommand "chekc": did you mean check? See retort data --help' data chekc
bad 2 "unknown option --dta: did you mean --data? See retort teacher --help" teacher --dta x --data y --out z
bad 2 "--data is required. See retort teacher --help" teacher --out z
bad 2 "--out is required" teacher --data x
bad 2 "--epochs" teacher --data x --out y --epochs
bad 2 "unexpected argument" report a b

small_data "$work/idx"
run data check "idx:$work/idx"
if [ -w /dev/full ]; then
  code=0
  err=$("$retort" data check "idx:$work/idx" 2>&1 >/dev/full) || code=$?
  [ "$code" = 1 ] || fail "a full disk gives exit code $code instead of 1"
  [[ $err == *"retort: cannot write to standard output: "* ]] || fail "a full disk is not named: $err"
fi

# The first signal asks to stop: exit code 130, and nothing half-written is left behind.
for signal in INT TERM; do
  "$retort" teacher --data "idx:$work/idx" --config '1 block, 16 filters' --epochs 100000 --out "$work/stopped" \
    >"$work/out" 2>"$work/err" &
  pid=$!
  for ((i = 0; i < 100; ++i)); do
    grep -q 'teacher' "$work/err" && break
    sleep 0.1
  done
  kill -s "$signal" "$pid"
  code=0
  wait "$pid" || code=$?
  [ "$code" = 130 ] || fail "SIG$signal gives exit code $code instead of 130"
  grep -q '^retort: .*interrupted' "$work/err" || fail "SIG$signal: no sentence"
  [ ! -e "$work/stopped" ] || fail "SIG$signal leaves a file behind"
done

finish
