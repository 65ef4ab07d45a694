# The program's frame: help, version, wrong use, standard output, interruption.
. "$(dirname "$0")/lib.sh"

good --version
[[ $out =~ ^retort\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "the version is not «retort X.Y.Z»"

good --help
for command in search teacher distill prune quantize export eval inspect pick report data bench; do
  says "  $command"
done
for command in search teacher distill prune quantize export eval inspect pick report "bench train" "data check" "data export"; do
  # shellcheck disable=SC2086
  good $command --help
  says "Usage: retort $command "
  says "Examples:"
  says "retort $command"
  says "--json"
done

bad 2 "a subcommand is missing. See retort --help"
bad 2 'unknown subcommand "serach": did you mean search? See retort --help' serach
bad 2 'unknown subcommand "xyzzy". See retort --help' xyzzy
bad 2 'unknown subcommand "xyzzy". See retort --help' xyzzy --help
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

# An error that cannot be said is an exit code.
for words in /dev/full closed; do
  [ "$words" = closed ] || [ -w "$words" ] || continue
  code=0
  if [ "$words" = closed ]; then "$retort" nonsense 2>&- || code=$?; else "$retort" nonsense 2>"$words" || code=$?; fi
  [ "$code" = 2 ] || fail "wrong use with standard error $words gives exit code $code instead of 2"
done
code=0
"$retort" --version >&- 2>"$work/err" || code=$?
[ "$code" = 1 ] || fail "a closed standard output gives exit code $code instead of 1"

# await COMMAND…: until it succeeds, at most twenty seconds.
await() {
  for ((i = 0; i < 200; ++i)); do
    "$@" && return
    sleep 0.1
  done
  fail "waited in vain for: $*"
}

# begin ARGUMENTS…: runs in the background; the process in $pid.
begin() {
  : >"$work/out"  # at once: the last run's words are not this one's
  "$retort" "$@" >"$work/out" 2>"$work/err" </dev/null &
  pid=$!
}

# ended EXPECTED WORDS: waits for the process and compares its exit code.
ended() {
  code=0
  wait "$pid" || code=$?
  [ "$code" = "$1" ] || fail "$2: exit code $code instead of $1"
}

# The first signal asks to stop: it is answered at once, the exit code is 130, and what was finished is kept for the same
# command to go on from.
train=(teacher --data "idx:$work/idx" --config '1 block, 2 layers, 16 filters' --threads 1 --out "$work/stopped")
for signal in INT TERM; do
  begin "${train[@]}" --epochs 100000
  if [ "$signal" = INT ]; then await test -e "$work/stopped.unfinished/teacher.checkpoint"; fi
  if [ "$signal" = TERM ]; then await grep -q '^Going on with the stopped run in ' "$work/out"; fi
  kill -s "$signal" "$pid"
  ended 130 "SIG$signal"
  grep -q '^stopping; what is finished is kept (again to end at once)$' "$work/err" || fail "SIG$signal is not answered"
  grep -q '^retort: .*interrupted; the same command goes on' "$work/err" || fail "SIG$signal: no sentence"
  [ ! -e "$work/stopped" ] || fail "SIG$signal leaves half a result behind"
done
bad 2 "holds a stopped run of another command (epochs 100000, now 5)" "${train[@]}" --epochs 5
bad 2 "holds a stopped run of another command (another data)" "${train[@]/%idx/idx?size=16x16}" --epochs 100000
[ -e "$work/stopped.unfinished/teacher.checkpoint" ] || fail "a slip in the command throws work away"

# Names that strangers gave move no cursor and make no lines.
mkdir -p "$work/names/"$'\e[2Jred'
printf 'no image' >"$work/names/"$'\e[2Jred/x\nretort: all fine.png'
run data check "images:$work/names"
case "$out$err" in *$'\e'* | *$'\n''retort: all fine'*) fail "a name is not shown as text" ;; esac
[[ $out$err == *"x retort: all fine.png"* ]] || fail "the broken file is not named"

# What is somebody's own beside --out stays.
mkdir "$work/early.unfinished"
echo notes >"$work/early.unfinished/notes.txt"
bad 2 "early.unfinished: is not the work of a stopped command" "${train[@]/%stopped/early}" --epochs 1
[ -s "$work/early.unfinished/notes.txt" ] || fail "a file beside --out is gone"
rm -r "$work/early.unfinished"

# Stopped before anything was finished, there is nothing to keep.
begin teacher --data "idx:$work/idx" --config '2 blocks, 3 layers, 256 filters' --threads 1 --out "$work/early"
await test -e "$work/early.unfinished"
kill "$pid"
ended 130 "an early stop"
[ ! -e "$work/early" ] && [ ! -e "$work/early.unfinished" ] || fail "an early stop leaves something behind"

# What diverged would do so again: nothing is left that refuses a command with a lower rate.
run teacher --data "idx:$work/idx" --config 'res 8, res 8, flatten' --threads 1 --epochs 200 --optimizer sgd \
  --momentum 0.999 --learning-rate 10 --out "$work/diverged"
[ "$code" = 1 ] && [[ ${err##*$'\n'} == "retort: the teacher, step "*"a lower learning rate than 2.5 may help" ]] ||
  fail "a training that diverges twice"
says "It begins anew with 0.25 of the rate."
[ ! -e "$work/diverged.unfinished" ] || fail "a training that diverged is kept to go on with"
# What another command noted that was killed before it had work is not taken for this one's.
brief=(teacher --data "idx:$work/idx" --config '1 block, 8 filters' --threads 1 --epochs 1)
good "${brief[@]}" --out "$work/brief"
mkdir "$work/noted.unfinished"
echo '{}' >"$work/noted.unfinished/identity.json"
echo '[{"stage": "training", "what": "step 1"}]' >"$work/noted.unfinished/diverged.json"
good "${brief[@]}" --out "$work/noted"
cmp -s "$work/brief/weights.retort" "$work/noted/weights.retort" || fail "another command's rate was taken"

# Under nohup a hang-up changes nothing. The process keeps its name and lets threads that wait sleep, unless told otherwise.
trap '' HUP
begin "${train[@]}" --epochs 100000
trap - HUP
await grep -q '^Going on with the stopped run in ' "$work/out"
kill -s HUP "$pid"
sleep 0.2
kill -0 "$pid" 2>/dev/null || fail "a hang-up ends what nohup started"
[ "$(cat "/proc/$pid/comm")" = retort ] || fail "the process is called $(cat "/proc/$pid/comm")"
tr '\0' '\n' <"/proc/$pid/environ" | grep -qx GOMP_SPINCOUNT=1000 || fail "waiting threads spin"
kill "$pid"
ended 130 "a stop after a hang-up"
export OMP_WAIT_POLICY=active
begin "${train[@]}" --epochs 100000
await grep -q '^Going on with the stopped run in ' "$work/out"
! tr '\0' '\n' <"/proc/$pid/environ" | grep -q ^GOMP_SPINCOUNT= || fail "OMP_WAIT_POLICY is not the user's"
kill "$pid"
ended 130 "a stop"
unset OMP_WAIT_POLICY

# Words for a closed standard error reach no file of ours.
: >"$work/out"
"$retort" "${train[@]}" --epochs 100000 >"$work/out" 2>&- </dev/null &
pid=$!
await grep -q '^Going on with the stopped run in ' "$work/out"
kill "$pid"
ended 130 "a stop without a standard error"
[ ! -s "$work/stopped.unfinished/.lock" ] || fail "the lock holds $(cat "$work/stopped.unfinished/.lock")"

# Cut and taken up again, training gives the bytes of the uncut run.
cut() {  # cut CHECKPOINT ARGUMENTS…: with --out in two runs, and uncut
  local checkpoint=$1
  shift
  begin "$@" --out "$work/cut"
  await test -e "$work/cut.unfinished/$checkpoint"
  kill "$pid"
  ended 130 "$1, cut"
  good "$@" --out "$work/cut"
  says "Going on with the stopped run in "
  [ ! -e "$work/cut.unfinished" ] || fail "$1 does not tidy up"
  good "$@" --out "$work/uncut"
  cmp -s "$work/cut/weights.retort" "$work/uncut/weights.retort" || fail "$1: a cut run ends in other weights"
}
small=(--data "idx:$work/idx" --threads 1 --batch 4)
config='1 block, 2 layers, 64 filters'  # slow enough to be met in the middle
cut teacher.checkpoint teacher "${small[@]}" --config "$config" --epochs 30
cp "$work/uncut/weights.retort" "$work/teacher.retort"
cut prune.checkpoint prune "$work/teacher.retort" "${small[@]}" --epochs 30 --update-every 3

# Whatever a program does: here it writes into a pipe that nobody reads.
mkfifo "$work/pipe"
exec 3<>"$work/pipe"
timeout 0.5 cat /dev/zero >&3
# stuck ARGUMENTS…: a run that waits for that pipe, its process in $pid; its second thread waits for signals.
stuck() {
  "$retort" "$@" >&3 2>"$work/err" </dev/null &
  pid=$!
  await waits_for_signals
}
waits_for_signals() { (($(ls "/proc/$pid/task" | wc -l) >= 2)); }
# What keeps something ends with the second signal at once.
stuck teacher --json --data "idx:$work/idx" --config '1 block, 16 filters' --threads 1 --epochs 1 --out "$work/stuck"
await test -e "$work/stuck/weights.retort"
kill -s INT "$pid"
await grep -q '^stopping; ' "$work/err"
kill -0 "$pid" || fail "the first signal ends the program at once"
kill -s INT "$pid"
ended 130 "the second signal"
# What has nothing to keep ends with the first, without such words.
stuck --help
kill -s INT "$pid"
ended 130 "a signal that nothing follows"
[ ! -s "$work/err" ] || fail "words that nothing follows: $(cat "$work/err")"

finish
