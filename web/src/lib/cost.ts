// What answers cost, in tokens and in money.
import type { Pricing, Usage } from "./api";

export interface Bill {
  input: number; // tokens that were not in the prefix cache
  cached: number;
  output: number;
  cost: number;
}

export const freeOfCharge: Pricing = { currency: "USD", input: 0, cached_input: 0, output: 0 };

export function bill(usages: Usage[], pricing: Pricing): Bill {
  const sum: Bill = { input: 0, cached: 0, output: 0, cost: 0 };
  for (const usage of usages) {
    const cached = usage.prompt_cache_hit_tokens ?? 0;
    sum.input += usage.prompt_tokens - cached;
    sum.cached += cached;
    sum.output += usage.completion_tokens;
  }
  sum.cost =
    (sum.input * pricing.input + sum.cached * pricing.cached_input + sum.output * pricing.output) / 1e6;
  return sum;
}

// The user's prices where set, then the server's, then nothing.
export function effectivePricing(user: Partial<Pricing>, server: Partial<Pricing> = {}): Pricing {
  const defined = (p: Partial<Pricing>) =>
    Object.fromEntries(Object.entries(p).filter(([, value]) => value !== undefined && value !== null));
  return { ...freeOfCharge, ...defined(server), ...defined(user) };
}

export function formatMoney(value: number, currency: string): string {
  const digits = value === 0 || value >= 1 ? 2 : Math.min(8, Math.max(2, 1 - Math.floor(Math.log10(value))));
  return `${value.toFixed(digits)} ${currency}`;
}

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-GB");
}
