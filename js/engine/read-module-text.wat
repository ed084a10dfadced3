;; Puts the bytes of a module back in their order, from the lists of its text. js/engine/module-bytes.ts says what the lists
;; are, writes them into the memory and starts this module, which does all of its work in its start function.
;;
;; The lists and their places, 4 bytes for each:
;;    0 all that is not an instruction    4 types of the variables of functions
;;    8 instructions, with the functions and global variables that they name
;;   their other operands:   12 variables   16 offsets   20 labels   24 blocks   28 constants   32 others
;; The memory:
;;     0  for each list, where its next character stands
;;    36  where the module ends
;;    64  for each list, where the table of its characters is
;;   128  for each instruction, the list of its operand; 0: it has none, 36: it has not one integer
;;   384  the bytes that the characters stand for: in all that is not an instruction, in instructions, in operands.
;;       Each table has three parts of 128: a character alone, after } and after ~
;;  1536  the module, then the characters of the lists
(module
  (import "engine" "memory" (memory 1))
  (data (i32.const 64)
    "\80\01\00\00\80\04\00\00\00\03\00\00\80\04\00\00\80\04\00\00"
    "\80\04\00\00\80\04\00\00\80\04\00\00\80\04")
  ;; From 0x02 on, 16 to a line.
  (data (i32.const 130)
    "\18\18\18\00\00\00\00\00\00\00\14\14\24\00\08\24"
    "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\0c\0c"
    "\0c\08\08\00\00\00\24\24\24\24\24\24\24\24\24\24"
    "\24\24\24\24\24\24\24\24\24\24\24\24\24\00\00\1c"
    "\1c\00\24")
  (data (i32.const 379) "\24\24\24")
  (global $at (mut i32) (i32.const 1536))

  (func $put (param $byte i32)
    (i32.store8 (global.get $at) (local.get $byte))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  ;; Takes the next byte of a list into the module.
  (func $byte (param $list i32) (result i32)
    (local $next i32)
    (local $place i32)
    (local $byte i32)
    (local.set $place (i32.load8_u (local.tee $next (i32.load (local.get $list)))))
    ;; Two characters: } and ~ say in which part of the table the place of the second one is.
    (if (i32.ge_u (local.get $place) (i32.const 125))
      (then
        (local.set $next (i32.add (local.get $next) (i32.const 1)))
        (local.set $place
          (i32.add
            (i32.shl (i32.sub (local.get $place) (i32.const 124)) (i32.const 7))
            (i32.load8_u (local.get $next))))))
    (i32.store (local.get $list) (i32.add (local.get $next) (i32.const 1)))
    (call $put
      (local.tee $byte
        (i32.load8_u (i32.add (i32.load offset=64 (local.get $list)) (local.get $place)))))
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

  ;; The alignment is 0.
  (func $address
    (call $put (i32.const 0))
    (drop (call $integer (i32.const 16))))

  ;; What follows an instruction whose operands are not one integer.
  (func $operands (param $code i32)
    ;; br_table
    (if (i32.eq (local.get $code) (i32.const 0x0e))
      (then (return (call $integers (i32.const 20) (i32.add (call $integer (i32.const 20)) (i32.const 1))))))
    ;; Loads and stores.
    (if (i32.lt_u (i32.sub (local.get $code) (i32.const 0x28)) (i32.const 0x17)) (then (return (call $address))))
    ;; f64.const
    (if (i32.eq (local.get $code) (i32.const 0x44)) (then (return (call $bytes (i32.const 32) (i32.const 8)))))
    ;; memory.copy, memory.fill and other instructions that two numbers stand for
    (if (i32.eq (local.get $code) (i32.const 0xfc))
      (then
        (local.set $code (i32.sub (call $integer (i32.const 8)) (i32.const 10)))
        (if (i32.lt_u (local.get $code) (i32.const 2))
          (then (call $integers (i32.const 32) (i32.sub (i32.const 2) (local.get $code)))))
        (return)))
    ;; SIMD
    (if (i32.eq (local.get $code) (i32.const 0xfd)) (then (return (call $vector (call $integer (i32.const 8))))))
    (call $integers (i32.const 32) (i32.const 2)))

  (func $vector (param $code i32)
    ;; Loads and stores: 0 to 11, 92 and 93.
    (if (i32.or (i32.le_u (local.get $code) (i32.const 11)) (i32.eq (i32.shr_u (local.get $code) (i32.const 1)) (i32.const 46)))
      (then (return (call $address))))
    ;; v128.const and i8x16.shuffle: 12 and 13.
    (if (i32.le_u (local.get $code) (i32.const 13)) (then (return (call $bytes (i32.const 32) (i32.const 16)))))
    ;; The lanes: 21 to 34.
    (if (i32.le_u (i32.sub (local.get $code) (i32.const 21)) (i32.const 13)) (then (drop (call $byte (i32.const 32))))))

  ;; Its size, an integer of at most 5 bytes, is known at its end: it is written further on, and then moved.
  (func $function
    (local $start i32)
    (local $body i32)
    (local $size i32)
    (local $left i32)
    (local $depth i32)
    (local $code i32)
    (local $list i32)
    (local.set $start (global.get $at))
    (global.set $at (local.tee $body (i32.add (global.get $at) (i32.const 5))))
    (local.set $code (call $integer (i32.const 4)))
    (call $integers (i32.const 4) (i32.shl (local.get $code) (i32.const 1)))
    (local.set $depth (i32.const 1))
    (loop $more
      (local.set $code (call $byte (i32.const 8)))
      (local.set $list (i32.load8_u offset=128 (local.get $code)))
      ;; block, loop and if, and the end of each
      (local.set $depth
        (i32.sub
          (i32.add (local.get $depth) (i32.eq (local.get $list) (i32.const 24)))
          (i32.eq (local.get $code) (i32.const 0x0b))))
      (if (i32.eq (local.get $list) (i32.const 36))
        (then (call $operands (local.get $code)))
        (else (if (local.get $list) (then (drop (call $integer (local.get $list)))))))
      (br_if $more (local.get $depth)))
    (local.set $left (local.tee $size (i32.sub (global.get $at) (local.get $body))))
    (global.set $at (local.get $start))
    (loop $more
      (call $put
        (i32.or
          (i32.and (local.get $left) (i32.const 127))
          (i32.shl (i32.ge_u (local.get $left) (i32.const 128)) (i32.const 7))))
      (br_if $more (local.tee $left (i32.shr_u (local.get $left) (i32.const 7)))))
    (memory.copy (global.get $at) (local.get $body) (local.get $size))
    (global.set $at (i32.add (global.get $at) (local.get $size))))

  (func $start
    (local $section i32)
    (local $size i32)
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
      (br_if $more (i32.lt_u (global.get $at) (i32.load (i32.const 36))))))
  (start $start))
