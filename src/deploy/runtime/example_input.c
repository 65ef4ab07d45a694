  memcpy(@name@_input(), @name@_golden_input(), sizeof(@type@) * @MACRO@_INPUT_SIZE);
