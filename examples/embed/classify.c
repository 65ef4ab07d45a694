/* A program with a network inside: classify IMAGE.pgm|IMAGE.ppm prints the class. The folder of generated C is what
 * `retort export MODEL --to c --name model --data SPEC --out model` wrote, or best/c of a search; see the Makefile. */
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "model_image.h"
#include "model_self_test.h"

/* Reads a binary PGM (P5) or PPM (P6) file; returns its pixels, to be freed, or NULL. */
static unsigned char *read_image(const char *path, int *height, int *width, int *channels) {
  FILE *file = fopen(path, "rb");
  unsigned char *pixels = NULL;
  char kind = 0;
  int largest = 0;
  if (file == NULL) return NULL;
  if (fscanf(file, "P%c %d %d %d", &kind, width, height, &largest) == 4 && (kind == '5' || kind == '6') && largest == 255 &&
      *width > 0 && *width <= 4096 && *height > 0 && *height <= 4096 && fgetc(file) != EOF) {
    size_t bytes;
    *channels = kind == '5' ? 1 : 3;
    bytes = (size_t)*width * (size_t)*height * (size_t)*channels;
    pixels = malloc(bytes);
    if (pixels != NULL && fread(pixels, 1, bytes, file) != bytes) {
      free(pixels);
      pixels = NULL;
    }
  }
  fclose(file);
  return pixels;
}

int main(int argc, char **argv) {
  int height, width, channels, best = 0, i;
  unsigned char *pixels;
  if (argc != 2) {
    fprintf(stderr, "usage: classify IMAGE.pgm|IMAGE.ppm\n");
    return 2;
  }
  if (model_self_test() != 0) { /* this machine computes what the network was tested with */
    fprintf(stderr, "the self-test failed\n");
    return 1;
  }
  pixels = read_image(argv[1], &height, &width, &channels);
  if (pixels == NULL || model_image(pixels, height, width, channels) != 0) {
    fprintf(stderr, "%s: is no binary PGM or PPM image of 8 bits\n", argv[1]);
    free(pixels);
    return 1;
  }
  model_invoke();
  for (i = 1; i < MODEL_OUTPUT_SIZE; ++i)
    if (model_output()[i] > model_output()[best]) best = i;
  printf("%s\n", model_class_names[best]);
  free(pixels);
  return 0;
}
