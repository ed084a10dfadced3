/** What `eventferry/jwt` exports: apart from the other verifiers, because it needs npm `jose`. */
export { type JwtOptions, jwt } from "./signatures/jwt.js";
