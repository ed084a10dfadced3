/** Signs JSON Web Tokens with the crypto of the platform (RFC 7515, RS256). */
import { TextEncoder } from "../../platform/text.js";

const ALGORITHM = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const encoder = new TextEncoder();

/**
 * Signs claims as a JWT.
 *
 * @param claims JSON text
 * @param privateKey PKCS #8 in PEM, or a key that can sign with RSASSA-PKCS1-v1_5 and SHA-256
 */
export async function signJwt(claims: string, privateKey: string | CryptoKey): Promise<string> {
  const key =
    typeof privateKey === "string"
      ? await crypto.subtle.importKey("pkcs8", pemBytes(privateKey), ALGORITHM, false, ["sign"])
      : privateKey;
  const signed = `${base64url(encoder.encode('{"alg":"RS256"}'))}.${base64url(encoder.encode(claims))}`;
  const signature = await crypto.subtle.sign(ALGORITHM, key, encoder.encode(signed));
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}

function pemBytes(pem: string): Uint8Array<ArrayBuffer> {
  const base64 = /-----BEGIN PRIVATE KEY-----([^-]*)-----END/.exec(pem)?.[1] ?? "";
  return Uint8Array.from(atob(base64.replace(/\s/g, "")), (char) => char.charCodeAt(0));
}

function base64url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}
