# retort bench train: a measurement of a moment, its numbers' sense and its options' sentences.
. "$(dirname "$0")/lib.sh"

good bench train --nets s11_16,ds16 --seconds 0.05 --threads 1
[[ $out =~ "float32 multiply-add peak: "[1-9][0-9]*" GFLOP/s on 1 cores" ]] || fail "the peak is missing"
[[ $out =~ s11_16\ +32\ +1\ +1\ +[1-9] ]] || fail "the first network's row is missing"
[[ $out =~ ds16\ +32\ +1\ +1\ +[1-9] ]] || fail "the second network's row is missing"

good bench train --nets s11_16 --batch 8 --seconds 0.05 --threads 1 --json
for key in net batch threads networks precision images_per_second fma_fraction memory_bytes compile_seconds; do
  says "\"$key\": "
done
says '"batch": 8'
[[ $out =~ \"fma_fraction\":\ 0\.[0-9]+ ]] || fail "the share of the peak is not between 0 and 1"

bad 2 'there is no reference network "resnet50"; the names are s11_16' bench train --nets resnet50
bad 2 "--batch: \"0\" is not a whole number from 1 to 4096" bench train --batch 0
bad 2 "--seconds: \"0\" is not a number from 0.01 to 3600" bench train --seconds 0
bad 2 "--threads: \"-1\" is not a whole number from 0 to 4096" bench train --threads -1

finish
