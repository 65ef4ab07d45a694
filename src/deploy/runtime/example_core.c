/* Runs the self-test, classifies one stored image and puts what came out into a line. Returns 0; 1 where something is
 * wrong. */
static int classify(char *line, size_t size) {
  const int wrong = @name@_self_test();
  uint32_t taken;
  int i, best = 0;
  if (wrong != 0) {
    snprintf(line, size, "self-test failed: %d", wrong);
    return 1;
  }
@fill@  taken = counted();
  @name@_invoke();
  taken = counted() - taken;
  for (i = 1; i < @MACRO@_OUTPUT_SIZE; ++i)
    if (@name@_output()[i] > @name@_output()[best]) best = i;
#ifdef @MACRO@_HAS_CLASS_NAMES
  i = snprintf(line, size, "self-test passed, class %d (%s)", best, @name@_class_names[best]);
#else
  i = snprintf(line, size, "self-test passed, class %d", best);
#endif
  if (taken != 0 && i > 0 && (size_t)i < size)
    snprintf(line + i, size - (size_t)i, ", %lu " COUNTED, (unsigned long)taken);
  return best == @name@_golden_class() ? 0 : 1;
}
