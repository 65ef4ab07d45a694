# retort bench train: a measurement of a moment, its numbers' sense and its options' sentences.
. "$(dirname "$0")/lib.sh"

good bench train --nets s11_16,ds16 --seconds 0.05 --threads 1
[[ $out =~ "float32 multiply-add peak: "[1-9][0-9]*" GFLOP/s on 1 cores" ]] || fail "the peak is missing"
[[ $out =~ "bfloat16 multiply-add peak: "[1-9][0-9]*" GFLOP/s" || $out == *"no bfloat16"* ]] ||
  fail "nothing is said of bfloat16"
[[ $out =~ s11_16\ +32\ +1\ +1\ +[1-9] ]] || fail "the first network's row is missing"
[[ $out =~ ds16\ +32\ +1\ +1\ +[1-9] ]] || fail "the second network's row is missing"

good bench train --nets s11_16 --batch 8 --seconds 0.05 --threads 1 --json
for key in net batch threads networks precision instruction_set images_per_second fma_fraction peak_gflops bfloat16_peak_gflops parameters \
  memory_bytes first_compile_seconds compile_seconds; do
  says "\"$key\": "
done
says '"batch": 8'
says '"parameters": 330,'
[[ $out =~ \"fma_fraction\":\ 0\.[0-9]+ ]] || fail "the share of the peak is not between 0 and 1"

# Where the CPU has it; elsewhere a sentence.
run bench train --nets s21_16 --precision bfloat16 --seconds 0.02 --threads 1 --json
case $code in
  0) says '"precision": "bfloat16"' ;;
  2) [[ $err == *"this CPU does not multiply bfloat16"* ]] || fail "no bfloat16, and no sentence" ;;
  *) fail "bfloat16" ;;
esac
ONEDNN_MAX_CPU_ISA=AVX2 good bench train --nets s11_16 --seconds 0.02 --threads 1
says "no bfloat16: "
[[ $out == *"trained in float32 (AVX-512"* ]] && fail "the limit on instructions is not kept to"
ONEDNN_MAX_CPU_ISA=AVX2 bad 2 '--precision: this CPU does not multiply bfloat16' bench train --precision bfloat16
bad 2 "--precision: there is no precision 'int8'" bench train --precision int8

# Real images in every network's shape, grey and in colour; students by their parts; odd widths beside even ones.
small_data "$work/idx"
good bench train --nets s11_16_1x64,resnet8,dscnn --data "idx:$work/idx" --seconds 0.02 --threads 1
[[ $out =~ s11_16_1x64\ +32\ +1\ +1\ +[1-9] ]] || fail "the student's row is missing"
says "compiling took at most "
good bench train --nets s21_5,s21_8,ds8,ds9,ds16 --seconds 0.02 --threads 1
[[ $out =~ s21_5\ +[0-9]+"% of s21_8's" ]] || fail "the odd width is not compared"
[[ $out =~ ds9\ +[0-9]+"% of ds16's" ]] || fail "the odd width is compared with another family"

bad 2 '--nets: there is no reference network "resnet50"; the names are s11_16' bench train --nets resnet50
bad 2 '--nets: there is no reference network "s11_16_0x64"' bench train --nets widths,s11_16_0x64
bad 2 '--nets: there is no reference network ""' bench train --nets s11_16,
bad 2 '--nets: "autoencoder" does not train on images and labels' bench train --nets autoencoder
bad 2 'data "cifar:x": unknown format "cifar"' bench train --data cifar:x
bad 2 '--data: it is empty' bench train --data ''
bad 2 "--batch: \"0\" is not a whole number from 1 to 4096" bench train --batch 0
bad 2 "--seconds: \"0\" is not a number from 0.01 to 3600" bench train --seconds 0
bad 2 "--threads: \"-1\" is not a whole number from 0 to 4096" bench train --threads -1

finish
