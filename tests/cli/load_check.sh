# load_check.sh PROGRAM: what a PostgreSQL server with its defaults carries on this machine: at least 500 claims a second with 16
# clients, and a thousand simulated workers over at most 64 connections that train at least 95 % of their time. Takes minutes, of a
# machine that does nothing else: ./dev soak load.
. "$(dirname "$0")/lib.sh"
start_postgres || exit 1
psql=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/psql
connections() { "$psql" -qtA -h "$work/pg" -U retort postgres -c "SELECT count(*) FROM pg_stat_activity WHERE application_name='retort'"; }

value() { printf '%s\n' "$out" | sed -n "s/^ *\"$1\": \([0-9.e+-]*\),\{0,1\}\$/\1/p"; }

# least NAME VALUE LEAST; most NAME VALUE MOST
least() { awk -v value="$2" -v least="$3" 'BEGIN { exit !(value >= least) }' || fail "$1: $2, and at least $3 are wanted"; }
most() { [ "$2" -le "$3" ] || fail "$1: $2, and at most $3 are wanted"; }

good bench study "$postgres" --clients 16 --claims 10000 --workers 0 --trials 0 --json
claims=$(value claims_per_second)
results=$(value results_per_second)
least 'claims a second' "$claims" 500

"$retort" bench study "$postgres" --claims 0 --workers 1000 --trial-seconds 60 --seconds 120 --trials 0 --json >"$work/out" 2>"$work/err" &
bench=$!
highest=0
while kill -0 "$bench" 2>/dev/null; do
  now=$(connections)
  [ "$now" -le "$highest" ] || highest=$now
  sleep 0.5
done
wait "$bench" || fail 'the simulated workers'
out=$(cat "$work/out")
share=$(value training_share)
least 'share of their time that 1,000 workers train' "$share" 0.95
least 'connections (they were counted)' "$highest" 1
most 'connections' "$highest" 64
stop_postgres
printf '%.0f claims and %.0f results a second with 16 clients; 1,000 workers over %d connections train %.2f%% of their time\n' \
  "$claims" "$results" "$highest" "$(awk -v share="$share" 'BEGIN { print 100 * share }')"
finish
