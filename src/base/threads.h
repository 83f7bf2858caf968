#pragma once
// The process's worker threads. Numerics contract: work is cut into tasks by shapes alone, and a
// task computes its outputs by itself, so the number of threads never changes a result.

#include <cstdint>
#include <functional>

namespace minke {

// Number of threads that parallel_for uses, the caller included. Starts as machine().cores.
int thread_count();

// Sets it (at least 1). Must not be called while a parallel_for runs.
void set_thread_count(int count);

// Index of the calling thread inside a parallel_for, in [0, thread_count()); 0 outside of one.
// For per-thread scratch only: a result must not depend on it.
int thread_index();

// Calls body(task) once for every task in [0, tasks), tasks taken in rising order by whichever
// thread is free; returns when all are done. Called from inside a task, it runs serially on that
// thread. The first exception thrown by a task is rethrown after all threads have stopped.
void parallel_for(int64_t tasks, const std::function<void(int64_t task)>& body);

// parallel_for over [0, count) in ranges of `grain` items: body(begin, end).
void parallel_ranges(int64_t count, int64_t grain,
                     const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace minke
