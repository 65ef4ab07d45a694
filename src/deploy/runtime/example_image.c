  /* As an image of a camera would come: of any size, through the code that makes it an input. */
  if (@name@_image(@name@_stored_image, @MACRO@_INPUT_HEIGHT, @MACRO@_INPUT_WIDTH, @MACRO@_INPUT_CHANNELS) != 0 ||
      memcmp(@name@_input(), @name@_golden_input(), sizeof(@type@) * @MACRO@_INPUT_SIZE) != 0) {
    snprintf(line, size, "the stored image became another input than in training");
    return 1;
  }
