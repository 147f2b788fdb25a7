interface Link<T> {
  readonly item: T
  previous: Link<T> | undefined
  next: Link<T> | undefined
}

/**
 * A set in list order whose iteration stays defined while it changes: removed items are skipped, items inserted
 * after the current one are visited. Add, insert and remove are O(1).
 */
export class LinkedSet<T> implements Iterable<T> {
  readonly #links = new Map<T, Link<T>>()
  #head: Link<T> | undefined
  #tail: Link<T> | undefined

  get size(): number {
    return this.#links.size
  }

  has(item: T): boolean {
    return this.#links.has(item)
  }

  *[Symbol.iterator](): IterableIterator<T> {
    let link = this.#head
    while (link !== undefined) {
      // A link removed since it was reached still points forward, so the walk finds its way back to the list.
      if (this.#links.get(link.item) === link) yield link.item
      link = link.next
    }
  }

  /** Appends, or inserts before `anchor`, which must be in the set. */
  insert(item: T, anchor?: T): void {
    const next = anchor === undefined ? undefined : this.#links.get(anchor)
    const previous = next === undefined ? this.#tail : next.previous
    const link: Link<T> = { item, previous, next }
    if (previous === undefined) this.#head = link
    else previous.next = link
    if (next === undefined) this.#tail = link
    else next.previous = link
    this.#links.set(item, link)
  }

  remove(item: T): void {
    const link = this.#links.get(item)
    if (link === undefined) return
    this.#links.delete(item)
    if (link.previous === undefined) this.#head = link.next
    else link.previous.next = link.next
    if (link.next === undefined) this.#tail = link.previous
    else link.next.previous = link.previous
  }
}
