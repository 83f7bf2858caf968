// A conversation whose answer has everything that the page shows in its own way, and what it must not let through.
export const answer = String.raw`The sum of the first \(n\) squares has a closed form:

\[
\sum_{k=1}^{n} k^2 = \frac{n(n+1)(2n+1)}{6}
\]

## Why it holds

1. For \(n = 1\) both sides are 1.
2. If it holds for \(n\), adding \((n+1)^2\) gives
   $$\frac{n(n+1)(2n+1)}{6} + (n+1)^2 = \frac{(n+1)(n+2)(2n+3)}{6}.$$

A few values:

| n | sum | formula |
|--:|----:|:--------|
| 1 | 1 | ${"`1*2*3/6`"} |
| 10 | 385 | ${"`10*11*21/6`"} |

${"```"}python
def sum_of_squares(n: int) -> int:
    """The sum 1 + 4 + ... + n*n, without a loop."""
    return n * (n + 1) * (2 * n + 1) // 6

assert sum_of_squares(10) == sum(k * k for k in range(1, 11))
${"```"}

> The same idea works for cubes; see [the article](https://en.wikipedia.org/wiki/Faulhaber%27s_formula).

A tag is text: <script>window.broken = 1</script>, <img src=x onerror="window.broken = 1">, and
![a picture](https://example.org/x.png) stays away, as [this](javascript:window.broken=1) does.
A formula cannot run either: \(\href{javascript:window.broken=1}{x}\).`;

const now = "2026-01-01T12:00:00.000Z";

export const file = JSON.stringify({
  format: "minke-conversations",
  version: 1,
  conversations: [
    {
      id: "rich", title: "Sums of squares", created: now, updated: now, system: "",
      messages: [
        { id: "q", role: "user", content: "What is the sum of the first n squares? Prove it, and write it in Python." },
        {
          id: "a", role: "assistant", content: answer, model: "tiny", thinkingSeconds: 4.2, answerSeconds: 9.5,
          reasoning: "The user asks for the sum of squares. I recall the formula: \\(1 + 4 + 9 = 14\\), which is right.",
          usage: { prompt_tokens: 1240, completion_tokens: 412, prompt_cache_hit_tokens: 1024 },
        },
      ],
    },
  ],
});
