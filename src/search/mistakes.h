// Where a model errs, and where labels may. Private to this room.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/analysis.h"
#include "search/answers.h"

namespace retort::search {

// Pictures that a report shows of each kind.
inline constexpr size_t kShownImages = 24;

// Of wrong images of equal confidence those whose label has the smaller probability come first, then those of
// the smaller index.
Mistakes find_mistakes(const Answers& answers, const data::ImageSet& images);

// Gives the images their files, of Dataset::test's or Dataset::train's; none where the data has no files.
void name_files(std::vector<ShownImage>& images, const std::vector<std::string>& files);

// Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
// Journal of Artificial Intelligence Research 70, 2021): a class's threshold is the mean probability that the
// network gives it on the images labelled so. An image counts as the most probable class among those whose
// threshold it reaches; where that is not its label (off the diagonal of the paper's confident joint), the label is
// doubted. Ordered by how much more probable the guess is than the label.
//
// The paper asks for probabilities of images that the network was not trained on. `answers` must be of images
// that are alike in this, as thresholds of learned images are higher: a caller that has both asks twice. Among
// learned images a network agrees with wrong labels that it has memorised, so fewer are found, and few of those
// found are right.
DoubtedLabels doubt_labels(const Answers& answers, const data::ImageSet& images);

}  // namespace retort::search
