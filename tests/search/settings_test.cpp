#include "search/settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/json.h"
#include "synthetic.h"

namespace retort::search {
namespace {

TEST(Settings, NotebookPresetHasTheNotebooksNumbers) {
  const SearchSettings settings = preset("notebook");
  const PipelineSettings& pipeline = settings.pipeline;
  EXPECT_EQ(pipeline.batch_size, 32);
  EXPECT_FLOAT_EQ(pipeline.schedule.peak, 1e-3F);
  EXPECT_EQ(pipeline.schedule.kind, engine::ScheduleKind::Constant);
  EXPECT_EQ(pipeline.quick_epochs, 5);
  EXPECT_EQ(pipeline.quick_patience, 2);
  EXPECT_DOUBLE_EQ(pipeline.gate, 0.6);
  EXPECT_EQ(pipeline.distill_epochs, 10);
  EXPECT_FLOAT_EQ(pipeline.alpha, 0.1F);
  EXPECT_FLOAT_EQ(pipeline.temperature, 3);
  EXPECT_EQ(pipeline.prune_epochs, 1);
  EXPECT_DOUBLE_EQ(pipeline.pruning.initial_sparsity, 0.5);
  EXPECT_DOUBLE_EQ(pipeline.pruning.final_sparsity, 0.8);
  EXPECT_DOUBLE_EQ(pipeline.pruning.power, 3);
  EXPECT_EQ(pipeline.pruning.update_every, 100);
  EXPECT_EQ(pipeline.qat_epochs, 5);
  EXPECT_EQ(settings.teacher.epochs, 20);
  EXPECT_DOUBLE_EQ(settings.split.validation_fraction, 0.2);
  EXPECT_EQ(settings.split.seed, 42U);
  EXPECT_EQ(settings.top, 5);
  EXPECT_EQ(pipeline.curriculum, compress::Curriculum::Entropy);
  EXPECT_EQ(pipeline.ends, int8::Ends::Float);
  EXPECT_EQ(settings.sampler, "grid");
  EXPECT_FALSE(settings.seconds);
}

TEST(Settings, EveryPresetIsValidAndSurvivesJson) {
  for (const std::string& name : preset_names()) {
    const SearchSettings settings = preset(name);
    EXPECT_NO_THROW(validate(settings));
    const Json first = settings;
    EXPECT_EQ(Json(first.get<SearchSettings>()), first) << name;
  }
}

TEST(Settings, EveryFieldSurvivesJson) {
  SearchSettings settings = preset("quick");
  settings.seed = 7;
  settings.split = {
      .seed = 3, .validation_fraction = 0.3, .most_validation_images = 700, .test_fraction = 0.1};
  settings.limits = {.flash_bytes = 65536, .ram_bytes = 1, .macs = 2'000'000, .latency_seconds = 0.5};
  settings.target = {.runtime = cost::Runtime::Tflm, .board = cost::builtin_boards().front()};
  settings.configs = {"1,1,16,0", "x"};
  settings.teacher = parse_teacher("logits:a.npy", settings.teacher);
  settings.trials = 3;
  settings.seconds = 12.5;
  settings.pipeline.stages = {"distill", "export"};
  settings.pipeline.views = {.mirror = data::Mirror::Horizontal, .max_shift = 2};
  settings.pipeline.curriculum = compress::Curriculum::RandomPacing;
  settings.pipeline.pacing = {.first_share = 0.4, .full_after = 0.9};
  settings.pipeline.qat_rate = 0.125;
  settings.pipeline.qat_keep = KeepEpoch::Last;
  settings.pipeline.prune_alpha = 0.5F;
  settings.pipeline.qat_alpha = 0.25F;
  settings.pipeline.ends = int8::Ends::Float;
  settings.pipeline.range_momentum = 0.5F;
  settings.pipeline.optimizer = {.kind = engine::OptimizerKind::Sgd,
                                 .beta1 = 0.5F,
                                 .beta2 = 0.25F,
                                 .epsilon = 0.125F,
                                 .momentum = 0.75F,
                                 .weight_decay = 0.5F};
  settings.teacher.optimizer = {.beta1 = 0.25F};
  settings.teacher.config = "1 block";
  settings.space = {.blocks = {1}, .layers = {2}, .filters = {3}, .dense_layers = {4, 5}, .dense_units = {6}};
  const Json flat = Json(settings).flatten();
  const SearchSettings fresh;
  const Json defaults = Json(fresh).flatten();
  const auto back = Json(settings).get<SearchSettings>();
  EXPECT_EQ(Json(back).flatten(), flat);
  EXPECT_NE(flat, defaults);
  EXPECT_EQ(back.pipeline.views.max_shift, 2);
  EXPECT_EQ(back.limits.macs, 2'000'000);
  EXPECT_EQ(back.limits.latency_seconds, 0.5);
  EXPECT_EQ(back.target.board, cost::builtin_boards().front());
  EXPECT_EQ(back.pipeline.optimizer, settings.pipeline.optimizer);
  EXPECT_EQ(back.teacher.optimizer, settings.teacher.optimizer);
  EXPECT_EQ(back.teacher.config, "1 block");
  EXPECT_EQ(back.space, settings.space);
  EXPECT_EQ(back.pipeline.range_momentum, 0.5F);
}

struct Wrong {
  std::function<void(SearchSettings&)> change;
  std::string words;
};

TEST(Settings, WhatMakesNoSenseIsNamed) {
  const std::vector<Wrong> cases = {
      {[](auto& s) { s.pipeline.batch_size = 0; }, "the batch size is 0"},
      {[](auto& s) { s.pipeline.schedule.peak = 0; }, "the learning rate is 0"},
      {[](auto& s) { s.pipeline.quick_epochs = 0; }, "quick epochs is 0"},
      {[](auto& s) { s.pipeline.gate = 1.5; }, "the gate is 1.5"},
      {[](auto& s) { s.pipeline.alpha = -1; }, "alpha is -1"},
      {[](auto& s) { s.pipeline.temperature = 0; }, "the temperature is 0"},
      {[](auto& s) { s.pipeline.pruning.final_sparsity = 0.4; },
       "the final sparsity is 0.4, but must be at least the initial one, which is 0.5: lower that too"},
      {[](auto& s) { s.pipeline.qat_epochs = -1; }, "quantisation-aware training is -1"},
      {[](auto& s) { s.pipeline.stages = {"quick", "quick", "export"}; }, "'quick' is listed twice"},
      {[](auto& s) { s.pipeline.stages = {"quik", "export"}; }, "unknown stage 'quik': known are quick"},
      {[](auto& s) { s.pipeline.stages = {"gate", "quick", "export"}; }, "'gate' needs a training stage"},
      {[](auto& s) { s.pipeline.optimizer.momentum = 1; }, "the optimiser's momentum is 1"},
      {[](auto& s) { s.teacher.optimizer.epsilon = 0; }, "the teacher's epsilon is 0"},
      {[](auto& s) { s.pipeline.range_momentum = 1; }, "the momentum of the ranges is 1"},
      {[](auto& s) { s.space.blocks.clear(); }, "the space has no blocks"},
      {[](auto& s) { s.space.filters = {0}; }, "the space's number of filters is 0"},
      {[](auto& s) { s.space.dense_units.assign(50'000, 8); }, "structures, but at most 100000"},
      {[](auto& s) { s.pipeline.stages = {"quick"}; }, "last stage must be 'export'"},
      {[](auto& s) { s.teacher.epochs = 0; }, "teacher epochs is 0"},
      {[](auto& s) { s.limits.flash_bytes = 0; }, "the flash limit is 0"},
      {[](auto& s) { s.limits.ram_bytes = -1; }, "the RAM limit is -1"},
      {[](auto& s) { s.limits.latency_seconds = 1; }, "a limit of latency needs a board"},
      {[](auto& s) { s.sampler = "magic"; }, "unknown sampler 'magic': known are grid"},
      {[](auto& s) { s.sampler = "list"; }, "needs at least one configuration"},
      {[](auto& s) { s.teacher.kind = TeacherKind::None; }, "curriculum 'entropy' needs a teacher"},
      {[](auto& s) { s.top = 0; }, "top models is 0"},
      {[](auto& s) { s.split.validation_fraction = std::nan(""); }, "the validation fraction is nan"},
      {[](auto& s) { s.split.most_validation_images = 0; }, "the bound of the validation images is 0"},
  };
  for (const Wrong& wrong : cases) {
    SearchSettings settings = preset("notebook");
    wrong.change(settings);
    const Thrown thrown = thrown_by([&] { validate(settings); });
    EXPECT_NE(thrown.sentence.find(wrong.words), std::string::npos)
        << wrong.words << " / " << thrown.sentence;
    EXPECT_EQ(thrown.code, ErrorCode::Usage);
  }
  EXPECT_NE(thrown_by([] {
              preset("fast");
            }).sentence.find("unknown preset 'fast': known are quick, micro, notebook"),
            std::string::npos);
}

TEST(Settings, TeachersAreReadAndWritten) {
  for (const std::string text : {"train", "none", "logits:a/b.npy", "weights.retort"})
    EXPECT_EQ(to_string(parse_teacher(text, {})), text);
  EXPECT_NE(thrown_by([] { parse_teacher("logits:", {}); }).sentence, "");
  EXPECT_NE(thrown_by([] { parse_teacher("", {}); }).sentence, "");
}

}  // namespace
}  // namespace retort::search
