#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "search/settings.h"

namespace retort::search {

std::vector<std::string> preset_names() {
  return {"quick", "micro", "notebook"};
}

SearchSettings preset(std::string_view name) {
  SearchSettings settings;
  settings.preset = name;
  if (name == "notebook") {
    settings.pipeline.curriculum = compress::Curriculum::Entropy;
    return settings;
  }
  if (name == "quick") {
    settings.sampler = "ladder";
    settings.seconds = 8 * 60;
    settings.trials = 12;
    // Every structure gets its share of the time, so the quick evaluation is the first part of training, not
    // a filter.
    settings.pipeline.gate = 0;
    // Few epochs learn most by a rate that climbs high and then falls, and zeros that come gradually cost
    // little: measured on Fashion-MNIST (3 blocks of 16 filters, ten epochs), 90.5 % instead of 86.0 % with
    // the notebook's stages on a cosine from 0.001.
    settings.pipeline.schedule = {engine::ScheduleKind::OneCycle, 4e-3F};
    settings.pipeline.quick_epochs = 4;
    settings.pipeline.distill_epochs = 7;
    settings.pipeline.alpha = 0.5F;  // a teacher of few epochs is not worth more than the labels
    settings.pipeline.prune_epochs = 6;
    settings.pipeline.pruning.initial_sparsity = 0;
    settings.pipeline.qat_epochs = 4;
    settings.teacher.schedule.kind = engine::ScheduleKind::OneCycle;
    settings.pipeline.ends = int8::Ends::Int8;
    return settings;
  }
  if (name == "micro") {
    settings.sampler = "evolution";
    settings.seconds = 12 * 60;
    settings.exploration.epochs = 3;
    // 5,000 images measure 75 % with a standard error of 0.6 points, 10,000 with one of 0.4: the difference is better
    // trained on, and validating takes half as long.
    settings.split.most_validation_images = 5000;
    settings.exploration.recipes = 6;
    // A teacher of residual blocks knows more after ten epochs than the notebook's after twenty. Measured on
    // Fashion-MNIST (mirrored images, a student of 11,000 weights, 40 epochs): 92.5 % int8 on validation and
    // 92.0 % on test with it, 92.2 % and 91.6 % with the labels alone.
    settings.teacher.config = "conv 16, res 32 s2, res 64 s2, res 64, gap";
    settings.teacher.schedule = {engine::ScheduleKind::OneCycle, 4e-3F};
    settings.pipeline.alpha = 0.3F;
    // A quarter more epochs in the same time, with the same accuracy after as many: Fashion-MNIST within 16 KB in
    // ten minutes has 92.3 % on validation for 92.2 %.
    settings.pipeline.precision = engine::Precision::Bfloat16;
    // Without pruning a network loses hardly anything in int8, and what training on its grid gains it gains at
    // a small rate: measured on grey CIFAR-10 (residual network of 46,000 weights), 71.7 % at a tenth and
    // 70.5 % at the full rate where 71.4 % was without.
    settings.pipeline.stages = {"distill", "quantize", "export"};
    settings.pipeline.schedule = {engine::ScheduleKind::OneCycle, 4e-3F};
    settings.pipeline.distill_epochs = 70;
    settings.pipeline.qat_epochs = 3;
    settings.pipeline.qat_rate = 0.1;
    settings.pipeline.gate = 0;
    settings.pipeline.ends = int8::Ends::Int8;
    settings.top = 1;
    return settings;
  }
  throw_usage("unknown preset '{}': known are {}", name, fmt::join(preset_names(), ", "));
}

}  // namespace retort::search
