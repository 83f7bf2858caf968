#pragma once
// The fields of [task], [reward] and [sandbox], each listed once: key, bounds, meaning.

#include "config/fields.h"
#include "config/task_config.h"

namespace minke {

template <>
struct EnumNames<PromptForm> {
  static constexpr std::array<std::string_view, 3> names = {"bare", "words", "spaced"};
};
template <>
struct EnumNames<FailureAction> {
  static constexpr std::array<std::string_view, 2> names = {"go_on", "stop"};
};
template <>
struct EnumNames<AnswerCheck> {
  static constexpr std::array<std::string_view, 6> names = {"by_task",   "exact", "numeric",
                                                            "countdown", "code",  "command"};
};
template <>
struct EnumNames<AnswerPlace> {
  static constexpr std::array<std::string_view, 6> names = {"by_task", "whole", "after_think",
                                                            "boxed",   "tag",   "last_number"};
};
template <>
struct EnumNames<FormatRule> {
  static constexpr std::array<std::string_view, 3> names = {"none", "think", "think_answer"};
};

template <typename Visit>
void visit_fields(TaskConfig& c, Visit&& visit) {
  visit(Field{"families", "the families of problems with their weights, \"chain:2, countdown\""},
        c.families);
  visit(Field{"seed", "of the problems; which ones are held out does not depend on it"}, c.seed);
  visit(Field{"held_out",
              "share of all problems that is held out for tests, and as much again "
              "for validation",
              1e-6, 0.45},
        c.held_out);
  visit(Field{"form",
              "bare: text to go on with, as in 048+293=; spaced: 48 + 293 =; words: a question"},
        c.form);
  visit(Field{"min_digits", "digits of an operand, at least", 1, 9}, c.min_digits);
  visit(Field{"max_digits", "digits of an operand, at most", 1, 9}, c.max_digits);
  visit(Field{"fixed_width", "operands have leading zeros up to max_digits"}, c.fixed_width);
  visit(Field{"min_carries", "addition, subtraction: carries or borrows, at least", 0, 64},
        c.min_carries);
  visit(Field{"max_carries", "addition, subtraction: carries or borrows, at most", 0, 64},
        c.max_carries);
  visit(Field{"min_steps", "operations of a chain or of countdown's solution, at least", 1, 16},
        c.min_steps);
  visit(Field{"max_steps", "operations of a chain or of countdown's solution, at most", 1, 16},
        c.max_steps);
  visit(Field{"min_items", "words to sort or count, people of a puzzle, at least", 2, 12},
        c.min_items);
  visit(Field{"max_items", "words to sort or count, people of a puzzle, at most", 2, 12},
        c.max_items);
  visit(Field{"path", "jsonl: the file of problems"}, c.path);
  visit(Field{"test_path", "jsonl: the file of the test split; empty: by hash out of path"},
        c.test_path);
  visit(Field{"question_field", "jsonl: the question's key; empty: question or problem"},
        c.question_field);
  visit(Field{"answer_field", "jsonl: the answer's key; empty: answer or solution"},
        c.answer_field);
  visit(Field{"on_bad_sample",
              "jsonl: what to do with a line that has no question or answer, or a prompt that is "
              "too long"},
        c.on_bad_sample);
}

template <typename Visit>
void visit_fields(RewardConfig& c, Visit&& visit) {
  visit(Field{"check", "how an answer is compared with the right one"}, c.check);
  visit(Field{"place", "where in a response the answer stands"}, c.place);
  visit(Field{"accuracy_weight", "reward of a right answer", -100, 100}, c.accuracy_weight);
  visit(Field{"wrong_reward", "reward of an answer that is there and wrong; TinyZero's is 0.1",
              -100, 100},
        c.wrong_reward);
  visit(Field{"format", "the form that a response is to have"}, c.format);
  visit(Field{"format_weight", "reward of a response in that form", -100, 100}, c.format_weight);
  visit(Field{"language", "en, de, fr, es, ru, el, zh, ja, ko, ar, he or hi"}, c.language);
  visit(Field{"language_weight", "reward of a response all of whose words are in its script", -100,
              100},
        c.language_weight);
  visit(Field{"overlong_weight", "weight of the soft punishment of long responses (DAPO)", 0, 100},
        c.overlong_weight);
  visit(Field{"overlong_max", "tokens from which it is whole", 0, 0x1p31}, c.overlong_max);
  visit(Field{"overlong_cache", "tokens over which it grows before that", 0, 0x1p31},
        c.overlong_cache);
  visit(Field{"command", "check = command: a program that reads and writes JSON lines"}, c.command);
  visit(Field{"command_seconds", "time that it has for one response", 1e-3, 86400},
        c.command_seconds);
  visit(Field{"on_failure", "what to do when the judge itself fails"}, c.on_failure);
  visit(Field{"failure_log", "a file for the samples of such failures, as JSON lines"},
        c.failure_log);
}

template <typename Visit>
void visit_fields(SandboxConfig& c, Visit&& visit) {
  visit(Field{"python", "the Python interpreter"}, c.python);
  visit(Field{"cxx", "the C++ compiler"}, c.cxx);
  visit(Field{"cpu_seconds", "CPU time of one process", 0.1, 3600}, c.cpu_seconds);
  visit(Field{"wall_seconds", "time of a run", 0.1, 3600}, c.wall_seconds);
  visit(Field{"memory_mib", "memory of all its processes together", 16, 0x1p20}, c.memory_mib);
  visit(Field{"processes", "processes and threads at once", 1, 4096}, c.processes);
  visit(Field{"open_files", "open files of a process", 8, 4096}, c.open_files);
  visit(Field{"file_mib", "what it may write", 1, 0x1p20}, c.file_mib);
  visit(Field{"output_kib", "bytes of stdout, and of stderr, that are read", 1, 0x1p20},
        c.output_kib);
}

template <typename Visit>
void visit_fields(TaskTextConfig& c, Visit&& visit) {
  visit(Field{"samples", "problems with an answer", 1, 0x1p40}, c.samples);
  visit(Field{"seed", "of problems and authors"}, c.seed);
  visit(Field{"worked", "share of right answers with the working shown", 0, 1}, c.worked);
  visit(Field{"slips", "share with a slip in the working", 0, 1}, c.slips);
  visit(Field{"right", "share of right answers without working", 0, 1}, c.right);
  visit(Field{"wrong", "share of wrong answers without working", 0, 1}, c.wrong);
  visit(Field{"cut_off", "share of workings that end in the middle", 0, 1}, c.cut_off);
  visit(Field{"per_document", "samples of a document, a line each", 1, 0x1p20}, c.per_document);
  visit(Field{"completions", "JSON lines of prompt and completion, for `minke sft`"},
        c.completions);
}

// Calls visit(name, settings) for each section.
template <typename Visit>
void visit_sections(TaskSettings& c, Visit&& visit) {
  visit("task", c.task);
  visit("reward", c.reward);
  visit("sandbox", c.sandbox);
  visit("text", c.text);
}

}  // namespace minke
