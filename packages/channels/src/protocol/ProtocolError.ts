/**
 * What a peer did that its protocol forbids.
 */

/**
 * A breach of protocol by the peer, as plain data. The connection it came on is of no more use: send `closeCode` in a
 * close frame if the protocol has one, then drop the connection.
 */
export class ProtocolError {
  readonly _tag = "ProtocolError"
  /** For a close frame: 1000, or one of 1002 (protocol), 1003 (kind of data), 1007 (bad UTF-8), 1009 (too big). */
  readonly closeCode: number
  /** A sentence: who sent what, and which rule it breaks. */
  readonly message: string

  constructor(closeCode: number, message: string) {
    this.closeCode = closeCode
    this.message = message
  }
}

/** Ends a sequence of events: nothing follows it. */
export interface Violation {
  readonly _tag: "Violation"
  readonly error: ProtocolError
}

/** The final event for a breach. */
export const violation = (closeCode: number, message: string): Violation => ({
  _tag: "Violation",
  error: new ProtocolError(closeCode, message)
})
