/* CRC-32 (IEEE 802.3). */
static uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, uint32_t count) {
  int bit;
  crc = ~crc;
  for (; count > 0; --count) {
    crc ^= *bytes++;
    for (bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}
