// A person at a microphone, and waiting for what a client tells.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const BLOCK_MS = 40;
const BLOCK_BYTES = 24 * 2 * BLOCK_MS; // 24 kHz, 16 bit
const PATIENCE_MS = 15_000;

/** Sends speech when there is some, silence otherwise, in real time, until it is switched off. */
export class Microphone {
  #send;
  #queue = [];
  #on = true;

  constructor(send) {
    this.#send = send;
  }

  /** `path`: a file of PCM. The promise gives the time (ms) at which its last word had been sent. */
  say(path) {
    return new Promise((resolve) => this.#queue.push({ pcm: readFileSync(path), at: 0, resolve }));
  }

  async run() {
    let due = performance.now();
    while (this.#on) {
      const speech = this.#queue[0];
      const block = speech ? speech.pcm.subarray(speech.at, speech.at + BLOCK_BYTES) : Buffer.alloc(BLOCK_BYTES);
      this.#send(Uint8Array.from(block).buffer);
      due += block.length / 2 / 24;
      await sleep(Math.max(0, due - performance.now()));
      if (speech && (speech.at += block.length) >= speech.pcm.length) {
        this.#queue.shift();
        speech.resolve(performance.now());
      }
    }
  }

  switchOff() {
    this.#on = false;
  }
}

/** What was told, in order. `until` waits for one and moves behind it. */
export class Told {
  #events = [];
  #place = 0;
  #wake = () => {};

  add(name, detail) {
    this.#events.push({ name, detail, at: performance.now() });
    this.#wake();
  }

  async until(name, wanted = () => true) {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      while (this.#place < this.#events.length) {
        const event = this.#events[this.#place++];
        if (event.name === name && wanted(event.detail)) return event;
      }
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${name} never came; told so far: ${this.#events.map((event) => event.name).join(' ')}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => (clearTimeout(timer), resolve());
      });
    }
  }
}
