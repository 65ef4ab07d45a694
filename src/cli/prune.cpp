// retort prune: sets the smallest weights to zero while training goes on.
#include "cli/commands.h"
#include "cli/stage.h"

namespace retort::cli {

void add_prune_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("prune", "Set a model's smallest weights to zero while it trains");
  const auto command = std::make_shared<StageCommand>();
  add_prune_options(*sub, command->settings);
  add_stage_command_options(*sub, *command);
  add_examples(*sub,
               {"retort prune student/weights.retort --data fashion-mnist --out pruned",
                "retort prune student/weights.retort --data fashion-mnist --final-sparsity 0.9 --epochs 3 \\",
                "    --out sparse"});
  sub->callback([command] { run_stage(*command, "prune"); });
}

}  // namespace retort::cli
