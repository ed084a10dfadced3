/** Removes secrets from texts and errors that a server or a platform wrote. */
import { isSecretHeader } from "./credential-headers.js";

/** Values shorter than this are not looked for: they would be found in ordinary words. */
const MIN_SECRET_LENGTH = 6;
const MAX_SECRETS = 32;
const MAX_CAUSES = 8;

/** Secrets that were sent lately. */
export class Secrets {
  #values = new Set<string>();

  /** Remembers a secret, in the forms in which it may be repeated. */
  add(secret: string): void {
    const inForm = new URLSearchParams({ a: secret }).toString().slice(2);
    const forms = [secret, encodeURIComponent(secret), inForm, JSON.stringify(secret).slice(1, -1)];
    for (const form of forms) {
      if (form.length < MIN_SECRET_LENGTH) continue;
      this.#values.delete(form);
      this.#values.add(form);
    }
    for (const oldest of this.#values) {
      if (this.#values.size <= MAX_SECRETS) break;
      this.#values.delete(oldest);
    }
  }

  /** Remembers the secrets in the headers of a request. `lines` are `name: value`. */
  addHeaders(lines: string): void {
    for (const line of lines.split("\n")) {
      const [name, value = ""] = line.split(/: (.*)/s);
      this.addHeader(name!, value);
    }
  }

  /** Remembers a header, if it has a token or cookies. */
  addHeader(name: string, value: string): void {
    if (/^(proxy-)?authorization$/i.test(name)) this.add(value.replace(/^\S+ +/, ""));
    else if (/^cookie$/i.test(name)) for (const cookie of value.split("; ")) this.add(cookie.replace(/^[^=]*=/, ""));
    else if (isSecretHeader(name)) this.add(value);
  }

  /** The text without the secrets. */
  redact(text: string): string {
    let redacted = text;
    // The longest first: one secret may be part of another.
    for (const secret of [...this.#values].sort((a, b) => b.length - a.length))
      redacted = redacted.replaceAll(secret, "…");
    return redacted;
  }

  /** The error, or if it quotes a secret a copy without it. */
  redactError(error: unknown, depth = 0): unknown {
    if (typeof error === "string") return this.redact(error);
    if (!(error instanceof Error)) return error;
    const { message, stack, cause } = error;
    const safeCause = cause === undefined || depth >= MAX_CAUSES ? undefined : this.redactError(cause, depth + 1);
    const isSafe = this.redact(message) === message && this.redact(stack ?? "") === (stack ?? "");
    if (isSafe && safeCause === cause) return error;
    const copy = new Error(this.redact(message), safeCause === undefined ? undefined : { cause: safeCause });
    copy.name = error.name;
    const { code } = error as { code?: unknown };
    if (typeof code === "string") Object.assign(copy, { code });
    return copy;
  }
}
