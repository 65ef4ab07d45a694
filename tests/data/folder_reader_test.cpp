#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>

#include "base/file.h"
#include "data/export.h"
#include "data/fixtures.h"
#include "data/image_file.h"
#include "data/image_files.h"
#include "data/npy.h"
#include "data/preprocess.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

constexpr ImageShape kRgb = {6, 5, 3};
constexpr ImageShape kGray = {6, 5, 1};

// Keeps what it was told.
class Recorder final : public ProgressSink {
 public:
  void update(std::string_view task, double done, double total, std::string_view) override {
    const std::lock_guard lock(mutex_);
    ++updates;
    last_task = task;
    last_share = done / total;
  }
  void message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    messages.emplace_back(text);
  }
  int updates = 0;
  std::string last_task;
  double last_share = 0;
  std::vector<std::string> messages;

 private:
  std::mutex mutex_;
};

class Folder : public testing::Test {
 protected:
  std::vector<uint8_t> png(ImageShape shape = kRgb) {
    return encode_png(random_bytes(shape.bytes(), rng_), shape);
  }
  void write(const std::string& name, const std::vector<uint8_t>& bytes) {
    write_bytes(folder_ / name, bytes);
  }
  // cat/ and dog/ with `count` images each, below `under`.
  void write_pets(const std::string& under = "", int count = 3) {
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) write(fmt::format("{}{}/{}.png", under, name, i), png());
  }
  [[nodiscard]] std::string root() const { return folder_.path().string(); }
  [[nodiscard]] std::string spec() const { return "images:" + root(); }
  [[nodiscard]] std::string error() const { return load_error(spec()); }
  [[nodiscard]] fs::path cache_file() const {
    for (const auto& entry : fs::directory_iterator(cache_directory())) return entry.path();
    return {};
  }

  TestFolder folder_;
  Rng rng_{18};
};

TEST_F(Folder, ReadsClassesAndImagesInTheOrderOfTheirNames) {
  write("dog/b.png", png());
  write("dog/a.jpg", encode_jpeg(random_bytes(kRgb.bytes(), rng_), kRgb));
  write("cat/x.PNG", png());
  write("zebra/ünïcode name.png", png());
  write("readme.txt", {'h', 'i'});
  write("cat/.DS_Store", {0});
  write("cat/Thumbs.db", {0});
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->classes, (std::vector<std::string>{"cat", "dog", "zebra"}));
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 1, 2}));
  EXPECT_EQ(dataset->train.shape, kRgb);
  EXPECT_EQ(dataset->test.count(), 0U);
  size_t index = 0;
  for (const char* name : {"cat/x.PNG", "dog/a.jpg", "dog/b.png", "zebra/ünïcode name.png"}) {
    const DecodedImage image = decode_image(read_file(folder_ / name), name);
    EXPECT_TRUE(std::ranges::equal(dataset->train.image(index++), image.pixels)) << name;
  }
}

TEST_F(Folder, ReadsTrainAndTestAndFollowsLinks) {
  write_pets("train/");
  write_pets("elsewhere/test/", 1);
  TestFolder other;
  fs::rename(folder_ / "elsewhere", other / "elsewhere");
  fs::create_symlink(other / "elsewhere/test", folder_ / "test");
  fs::rename(folder_ / "train/cat/0.png", other / "moved");
  fs::create_symlink(other / "moved", folder_ / "train/cat/0.png");
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->train.count(), 6U);
  EXPECT_EQ(dataset->test.count(), 2U);
}

TEST_F(Folder, ItsImagesHaveFilesAsLongAsItStaysAsItWas) {
  write_pets("train/", 2);
  write_pets("test/", 1);
  const auto dataset = load(spec());
  const ImageFiles files = image_files(*dataset);
  EXPECT_EQ(files.train, (std::vector<std::string>{"train/cat/0.png", "train/cat/1.png", "train/dog/0.png",
                                                   "train/dog/1.png"}));
  EXPECT_EQ(files.test, (std::vector<std::string>{"test/cat/0.png", "test/dog/0.png"}));
  write("train/cat/2.png", png());
  EXPECT_TRUE(image_files(*dataset).train.empty()) << "which file is which is not known any more";
  EXPECT_TRUE(image_files(*dataset).test.empty());
  Dataset other = *dataset;
  other.spec = "made up";
  EXPECT_TRUE(image_files(other).train.empty());
}

TEST_F(Folder, FilesOfWhatIsSplitLaterAreThoseOfTheTrainingSet) {
  write_pets();
  write("cat/3.png", {1, 2, 3});
  EXPECT_TRUE(image_files(*load(spec(), BadImages::Skip)).train.empty()) << "one was left out";
  fs::remove(folder_ / "cat/3.png");
  const ImageFiles files = image_files(*load(spec()));
  EXPECT_EQ(files.train.size(), 6U);
  EXPECT_EQ(files.train.back(), "dog/2.png");
}

TEST_F(Folder, AClassMayBeCalledTrain) {
  write("train/1.png", png());
  write("plane/1.png", png());
  EXPECT_EQ(load(spec())->classes, (std::vector<std::string>{"plane", "train"}));
}

TEST_F(Folder, GrayStaysGrayAndMixturesBecomeRgb) {
  const std::vector<uint8_t> gray = random_bytes(kGray.bytes(), rng_);
  write("cat/1.png", encode_png(gray, kGray));
  write("dog/1.png", png(kGray));
  auto dataset = load(spec());
  EXPECT_EQ(dataset->train.shape, kGray);
  EXPECT_TRUE(std::ranges::equal(dataset->train.image(0), gray));
  EXPECT_EQ(load(spec() + "?gray=0")->train.shape, kRgb);
  write("dog/2.png", png());
  dataset = load(spec());
  EXPECT_EQ(dataset->train.shape, kRgb);
  for (size_t i = 0; i < gray.size(); ++i)
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(dataset->train.image(0)[3 * i + c], gray[i]);
}

TEST_F(Folder, GrayOfAJpegIsThatOfItsRgb) {
  write("cat/1.jpg", encode_jpeg(random_bytes(kRgb.bytes(), rng_), kRgb));
  write("dog/1.png", png());
  const auto color = load(spec());
  const auto gray = load(spec() + "?gray=1");
  for (size_t i = 0; i < 2; ++i) {
    std::vector<uint8_t> expected(kGray.bytes());
    to_gray(color->train.image(i), expected);
    EXPECT_TRUE(std::ranges::equal(gray->train.image(i), expected));
  }
}

TEST_F(Folder, OtherSizesBecomeTheFirstOnesOrTheOneAskedFor) {
  write_pets();
  const ImageShape large = {12, 10, 3};
  const std::vector<uint8_t> pixels = random_bytes(large.bytes(), rng_);
  write("dog/9.png", encode_png(pixels, large));
  Recorder recorder;
  const auto dataset = load_dataset(spec(), {}, recorder);
  EXPECT_EQ(dataset->train.shape, kRgb);
  std::vector<uint8_t> expected(kRgb.bytes());
  resize(pixels, large, expected, kRgb);
  EXPECT_TRUE(std::ranges::equal(dataset->train.image(6), expected));
  ASSERT_EQ(recorder.messages.size(), 1U);
  EXPECT_EQ(
      recorder.messages[0],
      root() + ": images differ in size; all are resized to the first one's 6x5 (?size=HxW chooses another)");
  EXPECT_EQ(recorder.last_task, "loading images");
  EXPECT_EQ(recorder.last_share, 1);
  EXPECT_EQ(load(spec() + "?size=3x9")->train.shape, (ImageShape{3, 9, 3}));
}

TEST_F(Folder, NamesEmptyAndMisplacedFolders) {
  EXPECT_EQ(load_error("images:" + folder_.at("none")), folder_.at("none") + ": there is no such folder");
  EXPECT_EQ(error(), root() + ": has no class folders; expected are images as " +
                         folder_.path().filename().string() + "/<class>/<image>");
  write("file", {1});
  EXPECT_EQ(load_error("images:" + folder_.at("file")),
            folder_.at("file") + ": is a file where a folder is expected");
  write_pets();
  fs::create_directory(folder_ / "eel");
  EXPECT_EQ(error(), folder_.at("eel") + ": the class folder has no image");
  fs::create_directories(folder_ / "eel/more");
  EXPECT_EQ(error(), folder_.at("eel/more") +
                         ": is a folder where an image is expected; the layout is DIR/<class>/<image> or "
                         "DIR/train/<class>/<image> with DIR/test/<class>/<image>");
}

TEST_F(Folder, RefusesValidationFoldersAndClassesThatDiffer) {
  write_pets("train/");
  write_pets("val/", 1);
  EXPECT_EQ(error(), folder_.at("val") +
                         ": validation images are split off train/ by Retort; move these into "
                         "train/<class> or elsewhere");
  fs::remove_all(folder_ / "val");
  write_pets("test/", 1);
  write("test/eel/1.png", png());
  EXPECT_EQ(error(), root() + ": class \"eel\" is in test/ but not in train/");
  fs::remove_all(folder_ / "test/eel");
  fs::remove_all(folder_ / "test/cat");
  EXPECT_EQ(error(), root() + ": class \"cat\" is in train/ but not in test/");
  fs::remove_all(folder_ / "test");
  fs::remove_all(folder_ / "train/cat");
  EXPECT_EQ(error(), spec() + ": has the single class \"dog\"; there is nothing to tell apart");
}

TEST_F(Folder, BrokenImagesAreNamedOrSkippedAndCounted) {
  write_pets();
  const auto whole = load(spec());
  const std::vector<uint8_t> good = png();
  const std::string path = folder_.at("cat/00.png");  // between 0.png and 1.png
  const auto check = [&](const std::string& message) {
    EXPECT_EQ(error(), path + message);
    const auto dataset = load(spec(), BadImages::Skip);
    EXPECT_EQ(dataset->skipped, 1);
    EXPECT_EQ(dataset->content_hash, whole->content_hash);
    const auto again = load(spec(), BadImages::Skip);  // from the cache
    EXPECT_EQ(again->skipped, 1);
    // What it is called gives it again without being told twice.
    EXPECT_EQ(again->spec, spec() + "?skip-bad=1");
    EXPECT_EQ(load(again->spec)->content_hash, again->content_hash);
    EXPECT_EQ(load(spec() + "?gray=1", BadImages::Skip)->spec, spec() + "?gray=1&skip-bad=1");
  };
  write("cat/00.png", {good.begin(), good.end() - 20});
  check(": broken PNG: the file is truncated");
  write("cat/00.png", {});
  check(": is empty where a JPEG or PNG image is expected");
  write("cat/00.png", {'t', 'e', 'x', 't'});
  check(": is neither a JPEG nor a PNG image");
  fs::remove(path);
  fs::create_symlink("nowhere", path);
  check(": cannot be read: No such file or directory");
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  check(": is not a regular file");
  fs::remove(path);
  write("cat/00.png", good);
  fs::permissions(path, fs::perms::none);
  if (::geteuid() != 0) check(": cannot be read: Permission denied");
}

TEST_F(Folder, SkippingLeavesEmptyClassFoldersOutAndCountsThem) {
  write_pets();
  fs::create_directory(folder_ / "ant");
  const auto dataset = load(spec(), BadImages::Skip);
  EXPECT_EQ(dataset->skipped, 1);
  EXPECT_EQ(dataset->classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 0, 0, 1, 1, 1}));
  fs::create_directory(folder_ / "zebra");
  EXPECT_EQ(load(spec(), BadImages::Skip)->skipped, 2) << "the count comes from an old cache";
  fs::remove_all(folder_ / "cat");
  fs::remove_all(folder_ / "dog");
  EXPECT_EQ(load_error(spec(), BadImages::Skip), root() + ": its class folders have no images");
}

TEST_F(Folder, SetsWithoutTrainAreNoClasses) {
  const auto sentence = [&](const char* name) {
    return root() + ": train/ is missing beside " + name +
           "/; the layout is DIR/train/<class>/<image>, with or without DIR/test/<class>/<image>, or "
           "DIR/<class>/<image>";
  };
  write_pets("test/");
  EXPECT_EQ(error(), sentence("test"));
  fs::rename(folder_ / "test", folder_ / "Test");
  write_pets("Train/");
  EXPECT_EQ(error(), sentence("Test"));
  fs::rename(folder_ / "Train", folder_ / "train");
  fs::rename(folder_ / "Test", folder_ / "test");
  EXPECT_EQ(load(spec())->test.count(), 6U);
}

TEST_F(Folder, ClassNamesMustBeUtf8AndOtherNamesNeedNot) {
  write_pets("s\xe4tze/");
  EXPECT_EQ(load(spec() + "/s\xe4tze")->train.count(), 6U);
  for (int i = 0; i < 3; ++i) write(fmt::format("s\xe4tze/\xff\xe4/{}.png", i), png());
  for (int again = 0; again < 2; ++again)  // decoded, and from the cache
    EXPECT_EQ(load_error(spec() + "/s\xe4tze"),
              spec() + "/s\xe4tze: the name of class 3 of 3, \"\ufffd\ufffd\", is not UTF-8: rename it");
}

TEST_F(Folder, LargeImagesNeedASize) {
  const ImageShape shape = {513, 512, 1};
  write("cat/0.png", encode_png(std::vector<uint8_t>(shape.bytes()), shape));
  write("dog/0.png", png());
  EXPECT_EQ(error(),
            folder_.at("cat/0.png") +
                ": is 513x512, and all images would be resized to that: choose a size with ?size=HxW, "
                "like images:" +
                root() + "?size=96x96");
  EXPECT_EQ(load(spec() + "?size=8x8")->train.count(), 2U);
}

TEST_F(Folder, RefusesMoreThanTheMemoryBeforeTakingAny) {
  const auto memory =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t needed = memory / (4096 * 4096 * 3) + 1;
  if (needed > 10'000) GTEST_SKIP() << "this machine has " << memory << " bytes of memory";
  write_pets();
  for (uint64_t i = 0; i < needed; ++i)
    fs::create_hard_link(folder_ / "cat/0.png", folder_ / fmt::format("cat/more{}.png", i));
  const std::string message = load_error(spec() + "?size=4096x4096");
  EXPECT_TRUE(message.starts_with(fmt::format("{}: {} images of 4096x4096 are ", root(), needed + 6)))
      << message;
  EXPECT_TRUE(message.ends_with(" GB of memory that are left: choose a smaller size with ?size=HxW"))
      << message;
}

TEST_F(Folder, SkippingCannotEmptyAClass) {
  write_pets();
  write("eel/1.png", {'x'});
  EXPECT_EQ(load_error(spec(), BadImages::Skip), spec() + ": class \"eel\" has no training image");
  fs::remove_all(folder_ / "cat");
  fs::remove_all(folder_ / "dog");
  EXPECT_EQ(load_error(spec(), BadImages::Skip), root() + ": has no whole image");
}

TEST_F(Folder, TheCacheGivesTheSameAndNoticesEveryChange) {
  write_pets("train/");
  write_pets("test/", 1);
  Recorder first;
  const auto decoded = load_dataset(spec(), {}, first);
  EXPECT_GT(first.updates, 0);
  Recorder second;
  const auto cached = load_dataset(spec(), {}, second);
  EXPECT_EQ(second.updates, 0) << "decoded again";
  EXPECT_EQ(cached->classes, decoded->classes);
  EXPECT_EQ(cached->train.pixels, decoded->train.pixels);
  EXPECT_EQ(cached->train.labels, decoded->train.labels);
  EXPECT_EQ(cached->test.pixels, decoded->test.pixels);
  EXPECT_EQ(cached->train.shape, decoded->train.shape);
  EXPECT_EQ(cached->content_hash, decoded->content_hash);
  EXPECT_EQ(cached->content_hash, content_hash(*cached));
  EXPECT_EQ(cached->spec, spec());

  LoadOptions options;
  options.use_cache = false;
  Recorder uncached;
  load_dataset(spec(), options, uncached);
  EXPECT_GT(uncached.updates, 0);

  const auto decodes_again = [&] {
    Recorder recorder;
    load_dataset(spec(), {}, recorder);
    return recorder.updates > 0;
  };
  write("train/cat/7.png", png());
  EXPECT_TRUE(decodes_again()) << "a new image";
  EXPECT_FALSE(decodes_again());
  fs::rename(folder_ / "train/cat/7.png", folder_ / "train/cat/8.png");
  EXPECT_TRUE(decodes_again()) << "a new name";
  fs::last_write_time(folder_ / "train/cat/8.png", fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_TRUE(decodes_again()) << "a new time";
  fs::remove(folder_ / "train/cat/8.png");
  EXPECT_TRUE(decodes_again()) << "one less";
  fs::remove(folder_ / "test/dog/0.png");
  write("test/dog/0.png", png());
  EXPECT_TRUE(decodes_again()) << "other bytes";
  // What cp -p and rsync -t leave: another file of the same size and time.
  const fs::path replaced = folder_ / "test/dog/0.png";
  std::vector<uint8_t> bytes = read_file(replaced);
  const auto time = fs::last_write_time(replaced);
  write("elsewhere", bytes);
  fs::last_write_time(folder_ / "elsewhere", time);
  fs::rename(folder_ / "elsewhere", replaced);
  EXPECT_TRUE(decodes_again()) << "another file of the same size and time";
  write("test/dog/0.png", bytes);
  fs::last_write_time(replaced, time);
  EXPECT_TRUE(decodes_again()) << "written anew, the time set back";
  EXPECT_EQ(std::distance(fs::directory_iterator(cache_directory()), fs::directory_iterator()), 1)
      << "a changed folder replaces its cache";
}

// Eight gigabytes without any disk behind them.
TEST_F(Folder, FilesThatAreTooLargeForPicturesAreNotRead) {
  write_pets();
  write("cat/large.png", png());
  fs::resize_file(folder_ / "cat/large.png", uintmax_t{1} << 33U);
  EXPECT_EQ(error(), folder_.at("cat/large.png") + ": has 8589934592 bytes; at most 268435456 are read");
  EXPECT_EQ(load(spec(), BadImages::Skip)->skipped, 1);
}

TEST_F(Folder, ADamagedCacheIsRebuilt) {
  write_pets();
  const auto decoded = load(spec());
  const fs::path cache = cache_file();
  const std::vector<uint8_t> whole = read_file(cache);
  for (int trial = 0; trial < 30; ++trial) {
    std::vector<uint8_t> damaged = whole;
    const uint32_t at = rng_.below(static_cast<uint32_t>(damaged.size()));
    if (trial % 3 == 0)
      damaged.resize(at);
    else if (trial % 3 == 1)
      damaged[at] ^= static_cast<uint8_t>(1 + rng_.below(255));
    else
      damaged.push_back(0);
    write_bytes(cache, damaged);
    const auto dataset = load(spec());
    ASSERT_EQ(dataset->train.pixels, decoded->train.pixels);
    ASSERT_EQ(dataset->train.labels, decoded->train.labels);
    ASSERT_EQ(dataset->classes, decoded->classes);
    ASSERT_EQ(dataset->content_hash, decoded->content_hash);
  }
}

// A recursive parser would overflow the stack.
TEST_F(Folder, ACacheWhoseHeaderIsNestedTooDeeplyIsRebuilt) {
  write_pets();
  const auto decoded = load(spec());
  const fs::path cache = cache_file();
  std::vector<uint8_t> bytes = read_file(cache);
  constexpr uint64_t kDepth = 3'000'000;
  std::memcpy(bytes.data() + 8, &kDepth, sizeof kDepth);  // after the magic: the header's length
  bytes.resize(24);
  bytes.resize(24 + kDepth, '[');
  write_bytes(cache, bytes);
  EXPECT_EQ(load(spec())->content_hash, decoded->content_hash);
  std::fill(bytes.begin() + 24 + kDepth / 2, bytes.end(), ']');
  write_bytes(cache, bytes);
  EXPECT_EQ(load(spec())->content_hash, decoded->content_hash);
}

TEST_F(Folder, WritingTheCacheRemovesWhatKilledProcessesLeft) {
  write_pets();
  const fs::path stale = cache_directory() / ".retort-12345-0.tmp";
  const fs::path fresh = cache_directory() / ".retort-12346-0.tmp";
  const fs::path other = cache_directory() / "notes.tmp";
  for (const fs::path& path : {stale, fresh, other}) write_bytes(path, {{1, 2, 3}});
  for (const fs::path& path : {stale, other})
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
  load(spec());
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(fresh)) << "another process may be writing it";
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(Folder, ACacheThatCannotBeWrittenIsOnlyMentioned) {
  write_pets();
  write("file", {1});
  ::setenv("RETORT_CACHE", folder_.at("file/below").c_str(), 1);
  Recorder recorder;
  EXPECT_EQ(load_dataset(spec(), {}, recorder)->train.count(), 6U);
  ASSERT_EQ(recorder.messages.size(), 1U);
  EXPECT_TRUE(recorder.messages[0].starts_with("the decoded images are not cached: "))
      << recorder.messages[0];
}

TEST_F(Folder, ContentHashFollowsContentAlone) {
  write_pets();
  const auto dataset = load(spec());
  Dataset copy = *dataset;
  copy.spec = "other";
  copy.skipped = 3;
  EXPECT_EQ(content_hash(copy), dataset->content_hash);
  copy.classes[0] = "kitten";
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  copy.train.pixels[0] ^= 1;
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  copy.train.labels[0] ^= 1;
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  std::swap(copy.train.shape.height, copy.train.shape.width);
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  std::swap(copy.train, copy.test);
  EXPECT_NE(content_hash(copy), dataset->content_hash);
}

TEST_F(Folder, ExportedArraysReadBackAsTheSameImages) {
  write_pets("train/", 8);
  write_pets("test/", 1);
  const auto dataset = load(spec());
  TestFolder other;
  export_npy(*dataset, stratified_split(*dataset, {}), other / "new/folder");
  const auto again = load("npy:" + other.at("new/folder"));
  EXPECT_EQ(again->train.pixels, dataset->train.pixels);
  EXPECT_EQ(again->train.labels, dataset->train.labels);
  EXPECT_EQ(again->test.pixels, dataset->test.pixels);
  EXPECT_EQ(again->train.shape, dataset->train.shape);
  const std::string json = read_text(other / "new/folder/dataset.json");
  for (const std::string& part :
       {std::string("\"cat\""), dataset->content_hash, spec(), std::string("\"high\": 1.0")})
    EXPECT_NE(json.find(part), std::string::npos) << part;
}

TEST_F(Folder, TheSplitIsExportedAsRowsOfTheTrainingImages) {
  write_pets("", 10);
  const auto dataset = load(spec());
  const Split split =
      stratified_split(*dataset, {.seed = 5, .validation_fraction = 0.25, .test_fraction = 0.2});
  ASSERT_FALSE(split.test.empty());
  TestFolder other;
  write_bytes(other / "x_test.npy", {{1}});  // of an earlier export, of other data
  write_bytes(other / "y_test.npy", {{1}});
  export_npy(*dataset, split, other.path());
  const auto rows = [&](const char* name) {
    const std::vector<int64_t> values = read_npy(other / name).as_integer();
    return std::vector<uint32_t>(values.begin(), values.end());
  };
  EXPECT_EQ(rows("train_indices.npy"), split.train);
  EXPECT_EQ(rows("validation_indices.npy"), split.validation);
  EXPECT_EQ(rows("test_indices.npy"), split.test);
  const auto again = load("npy:" + other.path().string());
  EXPECT_EQ(again->content_hash, dataset->content_hash);  // names of classes too
  EXPECT_EQ(again->range, dataset->range);

  write_pets("train/", 10);
  write_pets("test/", 1);
  fs::remove_all(folder_ / "cat");
  fs::remove_all(folder_ / "dog");
  const auto with_test = load(spec());
  export_npy(*with_test, stratified_split(*with_test, {}), other.path());
  EXPECT_EQ(read_npy(other / "test_indices.npy").shape, std::vector<int64_t>{0});
  EXPECT_EQ(rows("train_indices.npy").size() + rows("validation_indices.npy").size(), 20U);
}

// All of CIFAR-10 as train/<class> and test/<class>, unpacked once into the build folder; empty when the
// archive is not at hand.
fs::path cifar10_folder() {
  const char* variable = std::getenv("RETORT_SHARED");
  const fs::path shared =
      variable != nullptr ? fs::path(variable) : fs::path(RETORT_SOURCE_DIR) / "../shared";
  const fs::path archive = shared / "data/cifar10-jpeg.tar.xz";
  if (!fs::exists(archive)) return {};
  const fs::path folder = fs::path(RETORT_BINARY_DIR) / "cifar10-jpeg";
  if (fs::exists(folder)) return folder;
  const fs::path part = folder.string() + ".part";
  fs::remove_all(part);
  fs::create_directories(part);
  const std::string command =
      fmt::format("tar -xJf '{}' -C '{}'", fs::canonical(archive).string(), part.string());
  if (std::system(command.c_str()) != 0) throw_failure("{}: cannot be unpacked", archive.string());
  fs::rename(part, folder);
  return folder;
}

// Sixty thousand files are decoded within 30 s, and come back from the cache within 2 s.
TEST(SlowCifar, SixtyThousandJpegsLoadInTime) {
  const fs::path folder = cifar10_folder();
  if (folder.empty())
    GTEST_SKIP() << "there is no ../shared/data/cifar10-jpeg.tar.xz beside the repository, nor one in "
                    "$RETORT_SHARED/data";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr double kSlower = 100;
#else
  constexpr double kSlower = 1;
#endif
  const TestFolder cache;
  for (const char* options : {"?gray=1", ""}) {
    std::string first_hash;
    for (const double limit_seconds : {30.0, 2.0}) {
      const auto start = std::chrono::steady_clock::now();
      const auto dataset = load(fmt::format("images:{}{}", folder.string(), options));
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::cout << fmt::format("images:cifar10-jpeg{}: {:.2f} s of {} s\n", options, seconds, limit_seconds);
      EXPECT_EQ(dataset->train.count(), 50000U);
      EXPECT_EQ(dataset->test.count(), 10000U);
      EXPECT_EQ(content_hash(*dataset), dataset->content_hash);
      if (first_hash.empty()) first_hash = dataset->content_hash;
      EXPECT_EQ(dataset->content_hash, first_hash);
      EXPECT_LT(seconds, limit_seconds * kSlower);
    }
  }
}

}  // namespace
}  // namespace retort::data
