/** Whether a host name is that of this machine, to which tokens and keys may go without encryption. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
