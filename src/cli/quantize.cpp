// retort quantize: trains a model in int8's grid and writes the int8 file.
#include "cli/commands.h"
#include "cli/stage.h"

namespace retort::cli {

void add_quantize_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("quantize", "Train a model on int8's grid and write model.tflite");
  const auto command = std::make_shared<StageCommand>();
  add_optional_teacher(*sub, *command);
  add_quantize_options(*sub, command->settings);
  add_ends_option(*sub, command->settings.ends);
  add_stage_command_options(*sub, *command, "folder for weights.retort, model.tflite and model.json");
  add_examples(
      *sub, {"retort quantize pruned/weights.retort --data fashion-mnist --out int8",
             "retort quantize pruned/weights.retort --data fashion-mnist --ends int8 --epochs 10 --out int8",
             "retort quantize student/weights.retort --data fashion-mnist --teacher teacher.retort \\",
             "    --alpha 0.1 --out int8"});
  sub->callback([command, sub] {
    check_optional_teacher(*sub, *command, command->settings.qat_alpha);
    run_stage(*sub, *command, "quantize");
  });
}

}  // namespace retort::cli
