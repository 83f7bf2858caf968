// Where a formula begins and ends: \( \) within a line, \[ \] and $$ $$ on their own. A single dollar is money.

export interface Formula {
  raw: string; // with its delimiters
  tex: string;
  display: boolean;
}

const inlineForms = [/^\\\(([^\n]*?)\\\)/, /^\\\[([\s\S]*?)\\\]/, /^\$\$([^\n]+?)\$\$/];
const blockForms = [/^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n|$)/, /^ {0,3}\$\$([\s\S]+?)\$\$[ \t]*(?:\n|$)/];

function match(source: string, forms: RegExp[]): { raw: string; tex: string; form: number } | undefined {
  for (const [form, pattern] of forms.entries()) {
    const found = pattern.exec(source);
    const tex = found?.[1]?.trim();
    if (found && tex) return { raw: found[0], tex, form };
  }
  return undefined;
}

// A formula at the beginning of source, within a paragraph.
export function inlineFormula(source: string): Formula | undefined {
  const found = match(source, inlineForms);
  return found && { raw: found.raw, tex: found.tex, display: found.form > 0 };
}

// A formula that is a block of its own at the beginning of source.
export function blockFormula(source: string): Formula | undefined {
  const found = match(source, blockForms);
  return found && { raw: found.raw, tex: found.tex, display: true };
}
