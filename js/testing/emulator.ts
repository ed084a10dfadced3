/** The services, as one web-standard fetch handler. */
export function createEmulator(): { fetch(request: Request): Promise<Response> } {
  return { fetch: async () => new Response(null, { status: 404 }) };
}
