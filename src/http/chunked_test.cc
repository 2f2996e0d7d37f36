// SPDX-License-Identifier: Apache-2.0
#include "http/chunked.h"

#include <gtest/gtest.h>

#include "http/head_for_test.h"
#include "http/pieces_for_test.h"

namespace weir::http {
namespace {

using namespace std::literals;

struct Case {
  std::string_view bytes;
  std::string_view outcome;  // payload, '|', trailers, then " +n" for n bytes not consumed
};

std::string decode_pieces(std::string_view bytes, const std::vector<std::size_t>& sizes,
                          const HeadLimits& limits) {
  ChunkedDecoder decoder(limits);
  std::string payload;
  std::size_t at = 0;
  for (const std::size_t size : sizes) {
    const ExactBytes piece(bytes.substr(at, size));
    const auto step = decoder.decode({piece.storage.get(), size});
    if (!step) return "malformed";
    EXPECT_LE(step->payload, step->consumed);
    payload.append(piece.view.substr(0, step->payload));
    at += step->consumed;
    if (step->done) {
      const std::size_t rest = bytes.size() - at;
      return payload + '|' + text_of(decoder.trailers()) +
             (rest == 0 ? "" : " +" + std::to_string(rest));
    }
    EXPECT_EQ(step->consumed, size);
  }
  return payload + " more";
}

std::string outcome(std::string_view bytes, const HeadLimits& limits = {}) {
  // Payload that came before an error depends on the cut, and is not part of the outcome.
  return outcome_of_all_cuts(bytes, [&](std::string_view all, const auto& sizes) {
    return decode_pieces(all, sizes, limits);
  });
}

TEST(ChunkedDecoder, DecodesAndRefuses) {
  constexpr auto cases = std::to_array<Case>({
      {"0\r\n\r\n", "|"},
      {"5\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", "hello world| +5"},
      {"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n00\r\n\r\n", "abc|"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789|"},
      {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789|"},
      {"0000000000000001\r\na\r\n0\r\n\r\n", "a|"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n|"},
      {"5\r\nhel", "hel more"},
      {"5\r\nhello", "hello more"},
      {"5\r\nhello\r\n0\r\n", "hello more"},
      {"5\r\nhello\r\n0\r\n\r", "hello more"},
      {"", " more"},
      {"00000000000000001\r\na", "malformed"},
      {"10000000000000000\r\n", "malformed"},
      {"fffffffffffffffff\r\n", "malformed"},
      {"\r\n", "malformed"},
      {"\n", "malformed"},
      {" 5\r\nhello", "malformed"},
      {"g\r\n", "malformed"},
      {"0x5\r\nhello", "malformed"},
      {"-1\r\n", "malformed"},
      {"+5\r\nhello", "malformed"},
      {"5\nhello", "malformed"},
      {"5\rhello", "malformed"},
      {"5\r\r\nhello", "malformed"},
      {"5 \r\nhello", "malformed"},
      {"5\t\r\nhello", "malformed"},
      {"5 5\r\nhello", "malformed"},
      {"5,5\r\nhello", "malformed"},
      {"5\0\r\nhello"sv, "malformed"},
      {"5\r\nhello0\r\n", "malformed"},
      {"5\r\nhello\n0\r\n", "malformed"},
      {"5\r\nhello\r0\r\n", "malformed"},
      {"5\r\nhello\r\r\n0", "malformed"},
      {"5\r\nhello\r\n\r\n", "malformed"},
      {"5;a\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello|"},
      {"5 ;a\r\nhello\r\n0\t; b\r\n\r\n", "hello|"},
      {"5;\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5;a\nhello\r\n0\r\n\r\n", "malformed"},
      {"5;a\rb\r\nhello\r\n0\r\n\r\n", "malformed"},
      {"5;a\0\r\nhello"sv, "malformed"},
      {"5;a\x7f\r\nhello", "malformed"},
      {"0\r\nA: b\r\nC:d\r\n\r\nX", "|[A=b][C=d] +1"},
      {"1\r\nx\r\n0\r\nChecksum: 12\r\n\r\n", "x|[Checksum=12]"},
      {"0\r\nA: a long value that does not fit into a small string\r\n\r\n",
       "|[A=a long value that does not fit into a small string]"},
      {"0\r\nA : b\r\n\r\n", "malformed"},
      {"0\r\n A: b\r\n\r\n", "malformed"},
      {"0\r\nA: b\r\n c\r\n\r\n", "malformed"},
      {"0\r\nA\r\n\r\n", "malformed"},
      {"0\r\n: b\r\n\r\n", "malformed"},
      {"0\r\nA: b\n\r\n", "malformed"},
      {"0\r\nA: b\rC: d\r\n\r\n", "malformed"},
      {"0\r\nA: \0\r\n\r\n"sv, "malformed"},
      {"0\r\nA: b\r\n\n", "malformed"},
      {"0\r\n\n", "malformed"},
      {"0\n\n", "malformed"},
      {"0\r\n\rx", " more"},  // seen when the line is complete
  });
  for (const Case& each : cases) {
    EXPECT_EQ(outcome(each.bytes), each.outcome) << each.bytes;
  }
}

TEST(ChunkedDecoder, BoundsExtensions) {
  const std::size_t max = ChunkedDecoder::kExtensionLineMax;
  const auto chunk = [](std::size_t extension) {
    return "1" + std::string(extension, ';') + "\r\nx\r\n";
  };
  EXPECT_EQ(outcome(chunk(max) + "0\r\n\r\n"), "x|");
  EXPECT_EQ(outcome(chunk(max + 1) + "0\r\n\r\n"), "malformed");
  const std::string four = chunk(max) + chunk(max) + chunk(max) + chunk(max);
  EXPECT_EQ(outcome(four + "0\r\n\r\n"), "xxxx|");
  EXPECT_EQ(outcome(four + chunk(1)), "malformed");
  // Payload pays for further extensions, one byte for sixteen.
  const std::string paid = four + "20\r\n" + std::string(32, 'y') + "\r\n";
  EXPECT_EQ(outcome(paid + chunk(2) + "0\r\n\r\n"), "xxxx" + std::string(32, 'y') + "x|");
  EXPECT_EQ(outcome(paid + chunk(3)), "malformed");
}

TEST(ChunkedDecoder, BoundsTrailers) {
  const HeadLimits limits{.head_size = 20, .head_fields = 2};
  EXPECT_EQ(outcome("0\r\nA: b\r\nC: d\r\n\r\n", limits), "|[A=b][C=d]");
  EXPECT_EQ(outcome("0\r\nA:\r\nC:\r\nE:\r\n\r\n", limits), "malformed");
  EXPECT_EQ(outcome("0\r\nA: 0123456789abc\r\n\r\n", limits), "|[A=0123456789abc]");
  EXPECT_EQ(outcome("0\r\nA: 0123456789abcd\r\n\r\n", limits), "malformed");
  EXPECT_EQ(outcome("0\r\nA: 0123456789abcdefghi", limits), "malformed");
}

TEST(ChunkedDecoder, TellsWhatIsLeftOfAChunkAndStaysFailed) {
  ChunkedDecoder decoder(HeadLimits{});
  std::string bytes = "10\r\nabc";
  ASSERT_TRUE(decoder.decode(bytes));
  EXPECT_EQ(decoder.chunk_remaining(), 13u);
  std::string rest(13, 'x');
  rest += "!";
  EXPECT_FALSE(decoder.decode(rest));
  std::string good = "\r\n0\r\n\r\n";
  EXPECT_FALSE(decoder.decode(good));
}

TEST(ChunkedDecoder, TakesNothingAfterItsEnd) {
  ChunkedDecoder decoder(HeadLimits{});
  std::string bytes = "0\r\n\r\n";
  ASSERT_TRUE(decoder.decode(bytes)->done);
  const auto step = decoder.decode(bytes);
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->done);
  EXPECT_EQ(step->consumed, 0u);
}

TEST(ChunkLine, IsHexadecimal) {
  std::array<char, 20> space;
  EXPECT_EQ(chunk_line(1, space), "1\r\n");
  EXPECT_EQ(chunk_line(0xabc, space), "abc\r\n");
  EXPECT_EQ(chunk_line(~std::size_t{0}, space), "ffffffffffffffff\r\n");
}

}  // namespace
}  // namespace weir::http
