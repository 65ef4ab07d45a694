// retort prune: sets the smallest weights to zero while training goes on.
#include "cli/commands.h"
#include "cli/stage.h"

namespace retort::cli {

void add_prune_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("prune", "Set a model's smallest weights to zero while it trains");
  const auto command = std::make_shared<StageCommand>();
  add_optional_teacher(*sub, *command);
  add_prune_options(*sub, command->settings);
  add_stage_command_options(*sub, *command);
  add_examples(
      *sub,
      {"retort prune student/weights.retort --data fashion-mnist --out pruned",
       "retort prune student/weights.retort --data fashion-mnist --final-sparsity 0.9 --epochs 3 \\",
       "    --out sparse",
       "retort prune student/weights.retort --data fashion-mnist --teacher teacher.retort --alpha 0.1 \\",
       "    --out taught"});
  sub->callback([command, sub] {
    check_optional_teacher(*sub, *command, command->settings.prune_alpha);
    run_stage(*sub, *command, "prune");
  });
}

}  // namespace retort::cli
