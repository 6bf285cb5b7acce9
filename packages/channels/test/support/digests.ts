/**
 * The digests that are under way. A handshake needs one, and another thread makes it: in real time, of which virtual time
 * knows nothing, and on a busy machine later than anything that is due.
 */
const { subtle } = crypto
const make = subtle.digest.bind(subtle)
const pending = new Set<Promise<ArrayBuffer>>()

subtle.digest = (algorithm, data) => {
  const digest = make(algorithm, data)
  pending.add(digest)
  return digest.finally(() => pending.delete(digest))
}

/** Whether there is one. */
export const isPending = (): boolean => pending.size > 0

/** Waits for those that are under way now. */
export const made = (): Promise<unknown> => Promise.allSettled(pending)
