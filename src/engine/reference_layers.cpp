#include "engine/reference_layers.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/quantized_form.h"

namespace retort::engine::reference {
namespace {

// Calls body(output pixel, input pixel, kernel cell) for every cell of the window that lies inside its image.
// Pixels count over images, rows and columns; channels are the body's business.
template <typename Body>
void for_each_cell(const Sliding& sliding, const Body& body) {
  const auto& [window, in, out, count] = sliding;
  const graph::WindowGeometry geometry = graph::window_geometry(window, in.height, in.width);
  for (size_t image = 0; image < count; ++image) {
    for (int out_row = 0; out_row < out.height; ++out_row) {
      for (int out_column = 0; out_column < out.width; ++out_column) {
        const size_t out_pixel = (image * static_cast<size_t>(out.height) + static_cast<size_t>(out_row)) *
                                     static_cast<size_t>(out.width) +
                                 static_cast<size_t>(out_column);
        for (int cell_row = 0; cell_row < window.kernel_height; ++cell_row) {
          const int row = out_row * window.stride_height - geometry.pad_top + cell_row;
          if (row < 0 || row >= in.height) continue;
          for (int cell_column = 0; cell_column < window.kernel_width; ++cell_column) {
            const int column = out_column * window.stride_width - geometry.pad_left + cell_column;
            if (column < 0 || column >= in.width) continue;
            const size_t in_pixel = (image * static_cast<size_t>(in.height) + static_cast<size_t>(row)) *
                                        static_cast<size_t>(in.width) +
                                    static_cast<size_t>(column);
            body(out_pixel, in_pixel, static_cast<size_t>(cell_row * window.kernel_width + cell_column));
          }
        }
      }
    }
  }
}

size_t channels_of(const graph::Shape& shape) {
  return static_cast<size_t>(shape.channels);
}

size_t cells_of(const graph::Window& window) {
  return static_cast<size_t>(window.kernel_height) * static_cast<size_t>(window.kernel_width);
}

// log softmax(z / temperature) of one row.
void log_softmax(View logits, double temperature, Sink result) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    result[i] = (logits[i] - largest) / temperature;
    sum += std::exp(result[i]);
  }
  for (double& value : result) value -= std::log(sum);
}

}  // namespace

void conv_forward(const Sliding& sliding, View x, View kernel, Sink y) {
  const size_t in_channels = channels_of(sliding.in);
  const size_t out_channels = channels_of(sliding.out);
  const size_t cells = cells_of(sliding.window);
  std::fill(y.begin(), y.end(), 0.0);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t cell) {
    const double* from = x.data() + in_pixel * in_channels;
    double* to = y.data() + out_pixel * out_channels;
    for (size_t out = 0; out < out_channels; ++out) {
      const double* weights = kernel.data() + (out * cells + cell) * in_channels;
      for (size_t in = 0; in < in_channels; ++in) to[out] += from[in] * weights[in];
    }
  });
}

void conv_backward(const Sliding& sliding, View x, View kernel, View dy, Sink dx, Sink dkernel) {
  const size_t in_channels = channels_of(sliding.in);
  const size_t out_channels = channels_of(sliding.out);
  const size_t cells = cells_of(sliding.window);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t cell) {
    const double* from = x.data() + in_pixel * in_channels;
    double* dfrom = dx.data() + in_pixel * in_channels;
    const double* dto = dy.data() + out_pixel * out_channels;
    for (size_t out = 0; out < out_channels; ++out) {
      const size_t offset = (out * cells + cell) * in_channels;
      const double* weights = kernel.data() + offset;
      double* dweights = dkernel.data() + offset;
      for (size_t in = 0; in < in_channels; ++in) {
        dfrom[in] += dto[out] * weights[in];
        dweights[in] += dto[out] * from[in];
      }
    }
  });
}

void depthwise_forward(const Sliding& sliding, View x, View kernel, Sink y) {
  const size_t channels = channels_of(sliding.in);
  std::fill(y.begin(), y.end(), 0.0);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t cell) {
    for (size_t channel = 0; channel < channels; ++channel)
      y[out_pixel * channels + channel] +=
          x[in_pixel * channels + channel] * kernel[cell * channels + channel];
  });
}

void depthwise_backward(const Sliding& sliding, View x, View kernel, View dy, Sink dx, Sink dkernel) {
  const size_t channels = channels_of(sliding.in);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t cell) {
    for (size_t channel = 0; channel < channels; ++channel) {
      const double gradient = dy[out_pixel * channels + channel];
      dx[in_pixel * channels + channel] += gradient * kernel[cell * channels + channel];
      dkernel[cell * channels + channel] += gradient * x[in_pixel * channels + channel];
    }
  });
}

void bias_forward(View bias, Sink y) {
  for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
}

void bias_backward(View dy, Sink dbias) {
  for (size_t i = 0; i < dy.size(); ++i) dbias[i % dbias.size()] += dy[i];
}

void max_pool_forward(const Sliding& sliding, View x, Sink y, std::vector<size_t>& winners) {
  const size_t channels = channels_of(sliding.in);
  std::fill(y.begin(), y.end(), -std::numeric_limits<double>::infinity());
  winners.assign(y.size(), 0);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t) {
    for (size_t channel = 0; channel < channels; ++channel) {
      const size_t from = in_pixel * channels + channel;
      const size_t to = out_pixel * channels + channel;
      if (x[from] > y[to]) {
        y[to] = x[from];
        winners[to] = from;
      }
    }
  });
}

namespace {

// Cells inside the image for each output pixel.
std::vector<int> valid_cells(const Sliding& sliding) {
  std::vector<int> cells(sliding.count * static_cast<size_t>(sliding.out.height) *
                         static_cast<size_t>(sliding.out.width));
  for_each_cell(sliding, [&](size_t out_pixel, size_t, size_t) { ++cells[out_pixel]; });
  return cells;
}

}  // namespace

void average_pool_forward(const Sliding& sliding, View x, Sink y) {
  const size_t channels = channels_of(sliding.in);
  const std::vector<int> cells = valid_cells(sliding);
  std::fill(y.begin(), y.end(), 0.0);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t) {
    for (size_t channel = 0; channel < channels; ++channel)
      y[out_pixel * channels + channel] += x[in_pixel * channels + channel] / cells[out_pixel];
  });
}

void average_pool_backward(const Sliding& sliding, View dy, Sink dx) {
  const size_t channels = channels_of(sliding.in);
  const std::vector<int> cells = valid_cells(sliding);
  for_each_cell(sliding, [&](size_t out_pixel, size_t in_pixel, size_t) {
    for (size_t channel = 0; channel < channels; ++channel)
      dx[in_pixel * channels + channel] += dy[out_pixel * channels + channel] / cells[out_pixel];
  });
}

Moments channel_moments(View x, size_t channels) {
  Moments moments{Values(channels), Values(channels)};
  const size_t row_count = x.size() / channels;
  const auto rows = static_cast<double>(row_count);
  for (size_t i = 0; i < x.size(); ++i) moments.mean[i % channels] += x[i] / rows;
  for (size_t i = 0; i < x.size(); ++i) {
    const double distance = x[i] - moments.mean[i % channels];
    moments.variance[i % channels] += distance * distance / rows;
  }
  return moments;
}

void normalize_forward(const Moments& moments, double epsilon, View gamma, View beta, View x, Sink y) {
  const size_t channels = gamma.size();
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i % channels;
    y[i] = (x[i] - moments.mean[c]) / std::sqrt(moments.variance[c] + epsilon) * gamma[c] + beta[c];
  }
}

void normalize_backward(const Moments& moments, double epsilon, View gamma, View x, View dy, Sink dx,
                        Sink dgamma, Sink dbeta) {
  const size_t channels = gamma.size();
  const size_t row_count = x.size() / channels;
  const auto rows = static_cast<double>(row_count);
  Values sum(channels);        // Σ dy
  Values projected(channels);  // Σ dy · x̂
  const auto normalized = [&](size_t i) {
    const size_t c = i % channels;
    return (x[i] - moments.mean[c]) / std::sqrt(moments.variance[c] + epsilon);
  };
  for (size_t i = 0; i < x.size(); ++i) {
    sum[i % channels] += dy[i];
    projected[i % channels] += dy[i] * normalized(i);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i % channels;
    dx[i] += gamma[c] / std::sqrt(moments.variance[c] + epsilon) *
             (dy[i] - sum[c] / rows - normalized(i) * projected[c] / rows);
  }
  for (size_t c = 0; c < channels; ++c) {
    dgamma[c] += projected[c];
    dbeta[c] += sum[c];
  }
}

void softmax_forward(size_t channels, View x, Sink y) {
  for (size_t row = 0; row < x.size(); row += channels) {
    log_softmax(x.subspan(row, channels), 1, y.subspan(row, channels));
    for (size_t i = row; i < row + channels; ++i) y[i] = std::exp(y[i]);
  }
}

void softmax_backward(size_t channels, View y, View dy, Sink dx) {
  for (size_t row = 0; row < y.size(); row += channels) {
    double dot = 0;
    for (size_t i = row; i < row + channels; ++i) dot += y[i] * dy[i];
    for (size_t i = row; i < row + channels; ++i) dx[i] += y[i] * (dy[i] - dot);
  }
}

void round_kernel(ChannelAxis axis, size_t channels, Sink kernel) {
  const size_t per_channel = kernel.size() / channels;
  const auto channel_of = [&](size_t i) {
    return axis == ChannelAxis::First ? i / per_channel : i % channels;
  };
  std::vector<float> largest(channels);
  for (size_t i = 0; i < kernel.size(); ++i)
    largest[channel_of(i)] = std::max(largest[channel_of(i)], static_cast<float>(std::abs(kernel[i])));
  for (size_t i = 0; i < kernel.size(); ++i) {
    const double scale = graph::weight_scale(largest[channel_of(i)]);
    kernel[i] = scale * std::clamp(std::nearbyint(kernel[i] / scale), -127.0, 127.0);
  }
}

StepResult loss(const Objective& objective, size_t classes, View logits, const Batch& batch, Sink gradient) {
  const size_t count = batch.labels.size();
  const double alpha = objective.alpha;
  const double temperature = objective.temperature;
  const double smoothing = objective.label_smoothing;
  Values log_p(classes);  // the network's log-probabilities
  Values teacher(classes);
  Values log_q(classes);  // the teacher's
  StepResult result;
  for (size_t row = 0; row < count; ++row) {
    const View z = logits.subspan(row * classes, classes);
    const Sink dz = gradient.subspan(row * classes, classes);
    const size_t label = batch.labels[row];
    if (static_cast<size_t>(std::max_element(z.begin(), z.end()) - z.begin()) == label) ++result.correct;

    log_softmax(z, 1, log_p);
    for (size_t c = 0; c < classes; ++c) {
      const double target = (c == label ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
      result.loss -= alpha * target * log_p[c];
      dz[c] = alpha * (std::exp(log_p[c]) - target);
    }
    if (alpha < 1) {
      const auto row_of_teacher = batch.teacher_logits.subspan(row * classes, classes);
      std::copy(row_of_teacher.begin(), row_of_teacher.end(), teacher.begin());
      log_softmax(z, temperature, log_p);
      log_softmax(teacher, temperature, log_q);
      for (size_t c = 0; c < classes; ++c) {
        const double q = std::exp(log_q[c]);
        result.loss += (1 - alpha) * temperature * temperature * q * (log_q[c] - log_p[c]);
        dz[c] += (1 - alpha) * temperature * (std::exp(log_p[c]) - q);
      }
    }
    for (double& value : dz) value /= static_cast<double>(count);
  }
  result.loss /= static_cast<double>(count);
  return result;
}

}  // namespace retort::engine::reference
