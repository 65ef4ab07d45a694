// retort distill: trains a student on a teacher's answers, or on the labels alone.
#include "base/error.h"
#include "cli/commands.h"
#include "cli/stage.h"

namespace retort::cli {

void add_distill_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("distill", "Train a student on a teacher's answers");
  const auto command = std::make_shared<StageCommand>();
  add_teacher_option(*sub, *command)->required();
  add_distill_options(*sub, command->settings);
  add_stage_command_options(*sub, *command);
  add_examples(*sub,
               {"retort distill --data fashion-mnist --config '3 blocks, 2 layers, 32 filters' \\",
                "    --teacher teacher.retort --out student",
                "retort distill student/weights.retort --data fashion-mnist --teacher logits:logits.npy \\",
                "    --epochs 20 --alpha 0.3 --out longer",
                "retort distill --data fashion-mnist --config '1 block' --teacher none --out plain"});
  sub->callback([command, sub] {
    if (command->teacher == "none" && sub->get_option("--alpha")->count() > 0 && command->settings.alpha < 1)
      throw_usage("--alpha {} leaves a part of the loss to a teacher, and --teacher is none",
                  command->settings.alpha);
    if (command->teacher == "none" && sub->get_option("--temperature")->count() > 0)
      throw_usage("--temperature softens a teacher's answers, and --teacher is none");
    if (command->settings.curriculum == compress::Curriculum::None)
      refuse_without_effect(*sub, {"--curriculum-start", "--curriculum-end"}, "--curriculum is none");
    run_stage(*sub, *command, "distill");
  });
}

}  // namespace retort::cli
