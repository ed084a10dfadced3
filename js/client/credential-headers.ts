/** Which headers carry secrets, and which tell who sends. By their names, because values look like anything. */

const SECRET = /auth|token|key|secret|cookie|credential|passw|signature/i;
const PERSON = /account|tenant|user(?!-agent)/i;

/** Whether a header carries a secret: `authorization`, `cookie`, `x-api-key` and the like. */
export function isSecretHeader(name: string): boolean {
  return SECRET.test(name);
}

/** Whether a header tells who sends: one with a secret, `x-user-id`, `x-tenant` and the like. */
export function isIdentityHeader(name: string): boolean {
  return isSecretHeader(name) || PERSON.test(name);
}
