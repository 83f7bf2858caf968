import { Component, h, type FunctionComponent } from "preact";

// A component that is drawn again only when its properties differ.
export function memo<P extends object>(view: FunctionComponent<P>, equal: (a: P, b: P) => boolean) {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return !equal(this.props as P, next);
    }
    override render() {
      return h(view, this.props as P);
    }
  };
}
