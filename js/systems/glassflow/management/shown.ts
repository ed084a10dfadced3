/** How objects of the management API look in a log. Their getters have tokens and secrets, and are not shown. */

/** Makes `console.log` show what `toJSON` returns, in Node and Bun. */
export function showAsJson(type: { readonly name: string; readonly prototype: { toJSON(): object } }): void {
  Object.defineProperty(type.prototype, Symbol.for("nodejs.util.inspect.custom"), {
    value(
      this: { toJSON(): object },
      _depth: number,
      options: object,
      inspect?: (value: object, options: object) => string,
    ) {
      return `${this.constructor.name} ${inspect?.(this.toJSON(), options) ?? JSON.stringify(this)}`;
    },
  });
}
