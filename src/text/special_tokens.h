#pragma once
// The special tokens of DeepSeek-V3's family (the bar is U+FF5C, the low line U+2581).

#include <string_view>

namespace minke::special {

inline constexpr std::string_view bos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view eos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view pad = "<｜▁pad▁｜>";
inline constexpr std::string_view think_begin = "<think>";
inline constexpr std::string_view think_end = "</think>";
inline constexpr std::string_view fim_hole = "<｜fim▁hole｜>";
inline constexpr std::string_view fim_begin = "<｜fim▁begin｜>";
inline constexpr std::string_view fim_end = "<｜fim▁end｜>";
inline constexpr std::string_view user = "<｜User｜>";
inline constexpr std::string_view assistant = "<｜Assistant｜>";
inline constexpr std::string_view end_of_turn = "<|EOT|>";
inline constexpr std::string_view tool_calls_begin = "<｜tool▁calls▁begin｜>";
inline constexpr std::string_view tool_calls_end = "<｜tool▁calls▁end｜>";
inline constexpr std::string_view tool_call_begin = "<｜tool▁call▁begin｜>";
inline constexpr std::string_view tool_call_end = "<｜tool▁call▁end｜>";
inline constexpr std::string_view tool_outputs_begin = "<｜tool▁outputs▁begin｜>";
inline constexpr std::string_view tool_outputs_end = "<｜tool▁outputs▁end｜>";
inline constexpr std::string_view tool_output_begin = "<｜tool▁output▁begin｜>";
inline constexpr std::string_view tool_output_end = "<｜tool▁output▁end｜>";
inline constexpr std::string_view tool_separator = "<｜tool▁sep｜>";

// In the order of their ids: these begin a vocabulary (0, 1, 2) ...
inline constexpr std::string_view first[] = {bos, eos, pad};

// ... and these end it, in DeepSeek-V3's order.
inline constexpr std::string_view last[] = {think_begin,        think_end,        fim_hole,
                                            fim_begin,          fim_end,          user,
                                            assistant,          end_of_turn,      tool_calls_begin,
                                            tool_calls_end,     tool_call_begin,  tool_call_end,
                                            tool_outputs_begin, tool_outputs_end, tool_output_begin,
                                            tool_output_end,    tool_separator};

}  // namespace minke::special
