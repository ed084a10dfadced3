;; Puts the bytes of a module back in their order, from the lists of its text. js/engine/module-bytes.ts says what the lists
;; are, writes them into the memory and starts this module, which does all of its work in its start function.
;;
;; The lists and their places, 4 bytes for each:
;;    0 all that is not an instruction    4 sizes of functions    8 types of their variables    12 instructions
;;   operands:   16 variables   20 offsets   24 alignments   28 functions   32 labels   36 blocks   40 constants   44 others
;; The memory:
;;     0  for each list, where its next character stands
;;    48  where the module ends
;;    64  for each list, what was added to its bytes
;;   128  for each instruction, the list of its operand; 0: it has none, 48: it has not one integer
;;   384  the bytes that take two characters
;;   576  for each character that stands for itself, its place among them
;;   704  the module, then the characters of the lists
(module
  (import "engine" "memory" (memory 1))
  ;; The same numbers as SHIFTS in js/build/module-text.mjs.
  (data (i32.const 64)
    "\00\00\00\00\30\00\00\00\60\00\00\00\24\00\00\00\60\00\00\00\20\00\00\00"
    "\30\00\00\00\60\00\00\00\40\00\00\00\e0\00\00\00\30\00\00\00\20")
  ;; From 0x02 on, 16 to a line.
  (data (i32.const 130)
    "\24\24\24\00\00\00\00\00\00\00\20\20\30\00\1c\30"
    "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\10\10"
    "\10\2c\2c\00\00\00\30\30\30\30\30\30\30\30\30\30"
    "\30\30\30\30\30\30\30\30\30\30\30\30\30\00\00\28"
    "\28\00\30")
  (data (i32.const 379) "\30\30\30")
  (global $at (mut i32) (i32.const 704))

  ;; Takes the next byte of a list into the module.
  (func $byte (param $list i32) (result i32)
    (local $next i32)
    (local $byte i32)
    (local.set $byte (i32.load8_u (local.tee $next (i32.load (local.get $list)))))
    ;; Two characters: } and ~ say in which part of the bytes it is.
    (if (i32.ge_u (local.get $byte) (i32.const 125))
      (then
        (local.set $next (i32.add (local.get $next) (i32.const 1)))
        (local.set $byte
          (i32.load8_u offset=384
            (i32.add
              (i32.mul (i32.sub (local.get $byte) (i32.const 125)) (i32.const 91))
              (i32.load8_u offset=576 (i32.load8_u (local.get $next))))))))
    (i32.store (local.get $list) (i32.add (local.get $next) (i32.const 1)))
    (i32.store8 (global.get $at) (i32.sub (local.get $byte) (i32.load offset=64 (local.get $list))))
    (local.set $byte (i32.load8_u (global.get $at)))
    (global.set $at (i32.add (global.get $at) (i32.const 1)))
    (local.get $byte))

  (func $bytes (param $list i32) (param $count i32)
    (loop $more
      (if (local.get $count)
        (then
          (drop (call $byte (local.get $list)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $more)))))

  ;; An integer: seven bits a byte, the lowest first; the last byte is below 128.
  (func $integer (param $list i32) (result i32)
    (local $value i32)
    (local $shift i32)
    (local $byte i32)
    (loop $more
      (local.set $value
        (i32.or
          (local.get $value)
          (i32.shl (i32.and (local.tee $byte (call $byte (local.get $list))) (i32.const 127)) (local.get $shift))))
      (local.set $shift (i32.add (local.get $shift) (i32.const 7)))
      (br_if $more (i32.ge_u (local.get $byte) (i32.const 128))))
    (local.get $value))

  (func $integers (param $list i32) (param $count i32)
    (loop $more
      (if (local.get $count)
        (then
          (drop (call $integer (local.get $list)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $more)))))

  (func $address
    (drop (call $integer (i32.const 24)))
    (drop (call $integer (i32.const 20))))

  ;; What follows an instruction whose operands are not one integer.
  (func $operands (param $code i32)
    ;; br_table
    (if (i32.eq (local.get $code) (i32.const 0x0e))
      (then (return (call $integers (i32.const 32) (i32.add (call $integer (i32.const 32)) (i32.const 1))))))
    ;; Loads and stores.
    (if (i32.lt_u (i32.sub (local.get $code) (i32.const 0x28)) (i32.const 0x17)) (then (return (call $address))))
    ;; f64.const
    (if (i32.eq (local.get $code) (i32.const 0x44)) (then (return (call $bytes (i32.const 44) (i32.const 8)))))
    ;; memory.copy, memory.fill and other instructions that two numbers stand for
    (if (i32.eq (local.get $code) (i32.const 0xfc))
      (then
        (local.set $code (i32.sub (call $integer (i32.const 44)) (i32.const 10)))
        (if (i32.lt_u (local.get $code) (i32.const 2))
          (then (call $integers (i32.const 44) (i32.sub (i32.const 2) (local.get $code)))))
        (return)))
    ;; SIMD
    (if (i32.eq (local.get $code) (i32.const 0xfd)) (then (return (call $vector (call $integer (i32.const 44))))))
    (call $integers (i32.const 44) (i32.const 2)))

  (func $vector (param $code i32)
    ;; Loads and stores: 0 to 11, 92 and 93.
    (if (i32.or (i32.le_u (local.get $code) (i32.const 11)) (i32.eq (i32.shr_u (local.get $code) (i32.const 1)) (i32.const 46)))
      (then (return (call $address))))
    ;; v128.const and i8x16.shuffle: 12 and 13.
    (if (i32.le_u (local.get $code) (i32.const 13)) (then (return (call $bytes (i32.const 44) (i32.const 16)))))
    ;; The lanes: 21 to 34.
    (if (i32.le_u (i32.sub (local.get $code) (i32.const 21)) (i32.const 13)) (then (drop (call $byte (i32.const 44))))))

  (func $function
    (local $end i32)
    (local $code i32)
    (local $list i32)
    (local.set $end (call $integer (i32.const 4)))
    (local.set $end (i32.add (local.get $end) (global.get $at)))
    (local.set $code (call $integer (i32.const 8)))
    (call $integers (i32.const 8) (i32.shl (local.get $code) (i32.const 1)))
    (loop $more
      (local.set $code (call $byte (i32.const 12)))
      (local.set $list (i32.load8_u offset=128 (local.get $code)))
      (if (i32.eq (local.get $list) (i32.const 48))
        (then (call $operands (local.get $code)))
        (else (if (local.get $list) (then (drop (call $integer (local.get $list)))))))
      (br_if $more (i32.lt_u (global.get $at) (local.get $end)))))

  ;; Which bytes take one character, and which two.
  (func $characters
    (local $code i32)
    (local $singles i32)
    (loop $more
      (if
        (i32.or
          (i32.ge_u (i32.sub (local.get $code) (i32.const 32)) (i32.const 93))
          (i32.or (i32.eq (local.get $code) (i32.const 34)) (i32.eq (local.get $code) (i32.const 92))))
        (then
          (i32.store8 offset=384 (i32.sub (local.get $code) (local.get $singles)) (local.get $code)))
        (else
          (i32.store8 offset=576 (local.get $code) (local.get $singles))
          (local.set $singles (i32.add (local.get $singles) (i32.const 1)))))
      (br_if $more (i32.lt_u (local.tee $code (i32.add (local.get $code) (i32.const 1))) (i32.const 256)))))

  (func $start
    (local $section i32)
    (local $size i32)
    (call $characters)
    (call $bytes (i32.const 0) (i32.const 8))
    (loop $more
      (local.set $section (call $byte (i32.const 0)))
      (local.set $size (call $integer (i32.const 0)))
      (if (i32.eq (local.get $section) (i32.const 10))
        (then
          (local.set $size (call $integer (i32.const 0)))
          (loop $functions
            (if (local.get $size)
              (then
                (call $function)
                (local.set $size (i32.sub (local.get $size) (i32.const 1)))
                (br $functions)))))
        (else (call $bytes (i32.const 0) (local.get $size))))
      (br_if $more (i32.lt_u (global.get $at) (i32.load (i32.const 48))))))
  (start $start))
