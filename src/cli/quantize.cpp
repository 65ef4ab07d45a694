// retort quantize: trains a model in int8's grid and writes the int8 file.
#include "base/error.h"
#include "cli/commands.h"
#include "cli/stage.h"

namespace retort::cli {

void add_quantize_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("quantize", "Train a model on int8's grid and write model.tflite");
  const auto command = std::make_shared<StageCommand>();
  add_teacher_option(*sub, *command)->default_str("none");
  add_quantize_options(*sub, command->settings);
  add_number(*sub, "--temperature", command->settings.temperature, 0.01, 1000,
             "how far the teacher's answers are softened");
  add_ends_option(*sub, command->settings.ends);
  add_stage_command_options(*sub, *command);
  add_examples(
      *sub, {"retort quantize pruned/weights.retort --data fashion-mnist --out int8",
             "retort quantize pruned/weights.retort --data fashion-mnist --ends int8 --epochs 10 --out int8",
             "retort quantize student/weights.retort --data fashion-mnist --teacher teacher.retort \\",
             "    --alpha 0.1 --out int8"});
  sub->callback([command, sub] {
    const bool teaches = command->settings.qat_alpha < 1;
    if (teaches && command->teacher == "none")
      throw_usage("--alpha {} leaves a part of the loss to a teacher: give --teacher",
                  command->settings.qat_alpha);
    if (!teaches && command->teacher != "none")
      throw_usage("--teacher has no part in the loss while --alpha is 1");
    if (!teaches && sub->get_option("--temperature")->count() > 0)
      throw_usage(
          "--temperature softens a teacher's answers, which have no part in the loss while --alpha is 1");
    run_stage(*command, "quantize");
  });
}

}  // namespace retort::cli
