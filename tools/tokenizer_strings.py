"""Strings that are hard for tokenizers, shared by the golden generator and the fuzz comparison."""

import random

HARD = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", "Hello, world!", " leading and trailing ",
    "The quick brown fox jumps over the lazy dog.",
    "我们的模型在中文上的表现如何？深度求索，混合专家。", "日本語のテキストとカタカナ、ひらがな。", "한국어 문장입니다.",
    "Привет, мир! Ещё раз.", "مرحبا بالعالم", "שלום עולם", "हिन्दी में पाठ", "ภาษาไทยไม่มีช่องว่าง", "Ελληνικά και ά ᾳ",
    "mixed 中文 and English 和 русский, 123 与 456。", "中文English混排123日本語カナabc",
    "👩‍👩‍👧‍👦 family 👨🏽‍💻 coder 🏳️‍🌈 flag 🇩🇪🇨🇳 👍🏿", "☺️✌🏻❤️‍🔥", "e\u0301 versus \u00e9, n\u0303 ṩ \u0323\u0307s",
    "1", "12", "123", "1234", "1234567890123456789012345678901234567890", "3.14159265358979, 1e-10, 0xFF, 1,000,000",
    "٣٤٥٦ ४५६७ ⅧⅨ ½¾ ²³ ①②③④ 一二三", "line\r\nline\r\n\r\nline\rline\n\n\n  indented\n\ttab\n",
    "def f(x):\n    return [i**2 for i in range(x) if i % 2 == 0]\n\n\nclass A(object):\n\t\"\"\"doc\"\"\"\n",
    "#include <vector>\nint main(int argc, char** argv) {\n  std::vector<int> v{1, 2, 3};  // comment\n  return v[0]-->x;\n}\n",
    "if (a&&b||c!=d) { x+=y<<2; } /* ... */ $var->{'key'} = @list[0..$#list];",
    "SELECT * FROM t WHERE a='b''c' AND d IN (1,2,3);--comment", "{\"k\":[1,2.5,null,true],\"n\":{\"x\":\"\\u00e9\"}}",
    "https://example.com/a_b/c?d=e&f=%20g#h user@example.org", "don't can't I'll we've he'd it's O'Neill rock'n'roll",
    "ALLCAPS camelCase snake_case kebab-case SCREAMING_SNAKE", "a.b,c;d:e!f?g(h)i[j]k{l}m<n>o/p\\q|r`s~t@u#v$w%x^y&z*",
    "!!!???...---===***", "   three spaces", "a   b    c     d", "trailing spaces   \nnext", " \n \n \n", "\n\n\n\n\n\n",
    "a\u00a0b\u2003c\u3000d\u200be\u202ff\u205fg\u1680h\u180ei\u2028j\u2029k\u0085l\u000bm\u000cn", "\u3000\u3000全角スペース", "\ufeffBOM first", "zero\u0000byte",
    "\u0000\u0001\u0002\u001f\u007f\u0080\u009f", "soft\u00adhyphen \u200d joiner \u200c non", "\u202eright to left\u202c",
    "Z̸̢̛a̶l̷g̵o̸ ͎t̸e̴x̷t̶", "\U0001d573\U0001d58a\U0001d591\U0001d591\U0001d594 𝟘𝟙𝟚 𐍈𐌰 𠀀𠀁 𒀀", "\U0010ffff\ufffd\ue000", "ﬁ ﬂ ﬀ ＡＢＣ １２３ ｶﾅ",
    "<｜begin▁of▁sentence｜>Hi<｜end▁of▁sentence｜>", "<｜User｜>question<｜Assistant｜>answer", "<think>\nreasoning\n</think>\n\nanswer",
    "<｜User｜", "<｜User｜><｜User｜>", "<｜fim▁begin｜>a<｜fim▁hole｜>b<｜fim▁end｜>", "<|EOT|><|EOT|", "<<think>>", "< think>", "｜▁｜",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "# Title\n\n- item *one*\n- item **two**\n\n> quote\n\n```py\nx = 1\n```\n\n| a | b |\n|---|---|\n", "\\begin{equation} \\frac{\\partial L}{\\partial x_i} = 0 \\end{equation}",
    "x\u0301\u0302\u0303y", "\u0301start with a mark", "1\u03012", "a1b2c3", "v1.2.3-rc4+build.5", "10:30:45 2024-12-26", "€100 £20 ¥3000 ₿0.5", "™©®°±²µ¶·¸¹º»¼½¾¿×÷",
    "\r", "\r\r\n\n\r", "a\rb\nc\r\nd", " \r\n ", "。\n\n、\r\n", "?!\n\n  ?!", "word\n\n\n  word", " (a) [b] \"c\" 'd'", "“quotes” ‘single’ «guillemets» „low“ —dash– …",
]

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " ", "  \t\n\r", "\n", "\r\n",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "的一是在不了有和人这中大为上个国", "あいうえおアイウエオー", "가나다라마바사",
    "абвгдежзАБВ", "αβγδΑΒΓ", "ابتثج", "कखगघङा्", "กขคงจ่้", "éèêëñüöäßø", "\u0301\u0302\u0308\u0323\u20dd", "😀😃🎉👍🏽❤️👩‍💻🇩🇪",
    "\u00a0\u2003\u3000\u200b\u200d\u202f\u2028\u0085\u000b\u000c\u180e\u1680\ufeff", "½²Ⅷ①٣४", "€£¥©®™°±×÷←→≤∞", "，。！？；：“”（）《》、", "ﬁﬂＡＢ１２", "𝐀𝟘𐍈𠀀𒀀", "'", "<｜>▁|",
]
SPECIALS = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜end▁of▁sentence｜>", "<|EOT|>", "<｜fim▁hole｜>"]
WORDS = ["the", " of", " and", "'s", "'ll", " don't", "function", "return", "    ", "\n\n", "深度", "学习", "что", "123", "3.14", "http://", "//", "==", "!=", "();\n", "\t"]


def random_string(rng: random.Random, unicode_max: int = 0) -> str:
    """Runs from several alphabets, words and special tokens; with unicode_max also any code point."""
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.55:
            alphabet = rng.choice(ALPHABETS)
            parts.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 8))))
        elif kind < 0.8:
            parts.append(rng.choice(WORDS))
        elif kind < 0.85:
            parts.append(rng.choice(SPECIALS))
        elif unicode_max:
            code = rng.randint(0, unicode_max)
            parts.append(chr(code) if not 0xD800 <= code < 0xE000 else "x")
    return "".join(parts)


def long_run(characters: str, length: int) -> str:
    """A run without a space: characters[i * i % n], which repeats but not as one block."""
    return "".join(characters[(i * i + i // 7) % len(characters)] for i in range(length))
