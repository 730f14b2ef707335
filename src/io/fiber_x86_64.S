/* io/fiber_x86_64.S: put one stack aside and go on with another.
 *
 * void fiber_switch(void **save, void *to): everything that the System V ABI lets a callee
 * keep is pushed (rbp, rbx, r12-r15, the control words of SSE and x87), the stack pointer is
 * kept in *save, and `to`, left in the same way, is taken up. A fiber that has not run yet
 * looks as if it had called fiber_switch from fiber_start. */
#if defined(__x86_64__) && !defined(FIBER_UCONTEXT)
    .text
    .globl fiber_switch
    .hidden fiber_switch
    .type fiber_switch, @function
    .balign 16
fiber_switch:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)

    movq %rsp, (%rdi)
    movq %rsi, %rsp /* the frame has the same form here: the unwinder need not be told */

    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret
    .cfi_endproc
    .size fiber_switch, . - fiber_switch

/* Where a new fiber begins: nobody called it, so a debugger stops unwinding here. */
    .globl fiber_start
    .hidden fiber_start
    .type fiber_start, @function
    .balign 16
fiber_start:
    .cfi_startproc
    .cfi_undefined %rip
    xorl %ebp, %ebp
    call fiber_entry
    ud2
    .cfi_endproc
    .size fiber_start, . - fiber_start

/* Ready for IBT. Not for shadow stacks, which would have to be switched too: by leaving
 * that bit out, the linker leaves it out of the program. */
    .section .note.gnu.property, "a"
    .balign 8
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0
#endif
    .section .note.GNU-stack, "", @progbits
