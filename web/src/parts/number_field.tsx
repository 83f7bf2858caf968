interface Props {
  label: string;
  value: number | undefined;
  onValue: (value: number | undefined) => void;
  min?: number;
  max?: number;
  step: number;
  placeholder?: string;
}

// A number, or nothing. What is out of bounds is shown as invalid and not taken.
export function NumberField({ label, value, onValue, placeholder, ...bounds }: Props) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        inputMode="decimal"
        {...bounds}
        step={bounds.step === 1 ? 1 : "any"}
        placeholder={placeholder ?? "server's"}
        value={value ?? ""}
        onInput={({ currentTarget: input }) => {
          if (input.validity.valid) onValue(input.value === "" ? undefined : input.valueAsNumber);
        }}
      />
    </label>
  );
}
